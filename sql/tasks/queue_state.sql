-- Counts and ages of the whole queue. They come from the database alone, so that they are true when every worker is
-- gone: what a vanished worker holds counts as due from the end of its lease.
-- Above a million tasks only the failed and the dead are counted. The others are estimated from a hundredth of the
-- pages, because to count ten million takes seconds.
with size as (
    select coalesce(reltuples, 0) < 1e6 as is_small from pg_class where oid = 'lethe.cleanup_tasks'::regclass
)
select s.pending as "pending!", s.running as "running!", s.failed as "failed!", s.completed as "completed!",
       s.dead as "dead!", s.cancelled as "cancelled!",
       coalesce(extract(epoch from clock_timestamp() - d.oldest), 0)::float8 as "oldest_due_seconds!",
       coalesce(extract(epoch from clock_timestamp() - e.oldest), 0)::float8 as "oldest_erasure_seconds!"
from (
    select e.pending, e.running, e.completed, e.cancelled,
           (select count(*) from lethe.cleanup_tasks
            where status = 'failed' and error_class is not null and finished_at is null) as failed,
           (select count(*) from lethe.cleanup_tasks where is_dead) as dead
    from (
        select coalesce(sum(factor) filter (where status = 'pending'), 0)::bigint as pending,
               coalesce(sum(factor) filter (where status = 'running'), 0)::bigint as running,
               coalesce(sum(factor) filter (where status = 'completed'), 0)::bigint as completed,
               coalesce(sum(factor) filter (where status = 'cancelled'), 0)::bigint as cancelled
        from (
            select status, 1 as factor from lethe.cleanup_tasks where (select is_small from size)
            union all
            select status, 100 from lethe.cleanup_tasks tablesample system (1) where not (select is_small from size)
        ) counted
    ) e
) s
cross join (
    select min(oldest) as oldest from (
        select (select min(scheduled_at) from lethe.cleanup_tasks
                where finished_at is null and not is_dead and status in ('pending', 'failed') and lane = l.lane and scheduled_at <= clock_timestamp()) as oldest
        from (values (0::smallint), (1::smallint), (2::smallint)) l (lane)
        union all
        select min(expires_at) from lethe.cleanup_workers where lost_at is null and expires_at <= clock_timestamp()
    ) each
) d
cross join (
    select min(created_at) as oldest from lethe.cleanup_tasks
    where kind = 'user-delete' and finished_at is null
) e
