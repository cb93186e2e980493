-- What the gauges show, from the database alone, so that it is true when every worker is gone.
-- What a
-- vanished worker holds is due since its lease ended.
select s.pending as "pending!", s.running as "running!", s.failed as "failed!", s.completed as "completed!",
       s.dead as "dead!", s.cancelled as "cancelled!",
       coalesce(extract(epoch from clock_timestamp() - d.oldest), 0)::float8 as "oldest_due_seconds!",
       coalesce(extract(epoch from clock_timestamp() - e.oldest), 0)::float8 as "oldest_erasure_seconds!"
from (
    select count(*) filter (where status = 'pending') as pending, count(*) filter (where status = 'running') as running,
           count(*) filter (where status = 'failed') as failed, count(*) filter (where status = 'completed') as completed,
           count(*) filter (where status = 'dead') as dead, count(*) filter (where status = 'cancelled') as cancelled
    from cleanup_tasks
) s
cross join (
    select min(oldest) as oldest from (
        select (select min(scheduled_at) from cleanup_tasks
                where finished_at is null and not is_dead and status in ('pending', 'failed') and lane = l.lane and scheduled_at <= clock_timestamp()) as oldest
        from (values (0::smallint), (1::smallint), (2::smallint)) l (lane)
        union all
        select min(expires_at) from cleanup_workers where lost_at is null and expires_at <= clock_timestamp()
    ) each
) d
cross join (
    select min(created_at) as oldest from cleanup_tasks
    where kind = 'user-delete' and finished_at is null
) e
