-- Delivers again what failed: these notices, or all.
select lethe.retry_notices($1) as "retried!"
