-- The next run may begin.
select pg_advisory_unlock(1819567208, -3) as was_locked
