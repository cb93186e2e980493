-- Counts by status, and for how long the oldest due task and the oldest unfinished erasure have waited.
select count(*) filter (where status = 'pending') as "pending!",
       count(*) filter (where status = 'running') as "running!",
       count(*) filter (where status = 'failed') as "failed!",
       count(*) filter (where status = 'completed') as "completed!",
       count(*) filter (where status = 'dead') as "dead!",
       count(*) filter (where status = 'cancelled') as "cancelled!",
       coalesce(extract(epoch from clock_timestamp() - min(scheduled_at)
           filter (where status in ('pending', 'failed') and scheduled_at <= clock_timestamp())), 0)::float8
           as "oldest_due_age_seconds!",
       coalesce(extract(epoch from clock_timestamp() - min(created_at)
           filter (where kind = 'user-delete' and finished_at is null)), 0)::float8
           as "oldest_unfinished_erasure_age_seconds!"
from cleanup_tasks
