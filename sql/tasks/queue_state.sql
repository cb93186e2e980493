-- Counts and ages of the whole queue. They come from the database alone, so that they are true when every worker is
-- gone: what a vanished worker holds counts as due from the end of its lease.
-- Above a million open tasks only the failed and the dead are counted; the others are estimated from a hundredth of
-- the pages. Above 256 MiB of finished tasks these are estimated from the sizes of their partitions.
with open_size as (
    select coalesce(reltuples, 0) < 1e6 as is_small from pg_class where oid = 'lethe.cleanup_tasks'::regclass
), partitions as (
    select c.oid, pg_relation_size(c.oid) as bytes,
           case when c.relpages > 0 and c.reltuples > 0 then c.reltuples / c.relpages else 16 end
               * pg_relation_size(c.oid) / current_setting('block_size')::int as estimate
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'lethe.finished_tasks'::regclass
), finished as (
    select case when (select sum(bytes) from partitions) < 256 * 1024 * 1024
                then (select count(*) from lethe.finished_tasks)
                else (select sum(estimate)::bigint from partitions) end as total,
           (select count(*) from lethe.finished_tasks where status = 'cancelled') as cancelled
)
select o.pending as "pending!", o.running as "running!",
       (select count(*) from lethe.cleanup_tasks where status = 'failed' and error_class is not null) as "failed!",
       greatest(f.total - f.cancelled, 0) as "completed!",
       (select count(*) from lethe.cleanup_tasks where is_dead) as "dead!",
       f.cancelled as "cancelled!",
       coalesce(extract(epoch from clock_timestamp() - d.oldest), 0)::float8 as "oldest_due_seconds!",
       coalesce(extract(epoch from clock_timestamp() - e.oldest), 0)::float8 as "oldest_erasure_seconds!"
from (
    select coalesce(sum(factor) filter (where status = 'pending'), 0)::bigint as pending,
           coalesce(sum(factor) filter (where status = 'running'), 0)::bigint as running
    from (
        select status, 1 as factor from lethe.cleanup_tasks where (select is_small from open_size)
        union all
        select status, 100 from lethe.cleanup_tasks tablesample system (1) where not (select is_small from open_size)
    ) counted
) o
cross join finished f
cross join (
    select min(oldest) as oldest from (
        select (select min(scheduled_at) from lethe.cleanup_tasks
                where not is_dead and held_reason is null and status in ('pending', 'failed') and lane = l.lane
                  and scheduled_at <= statement_timestamp()) as oldest
        from (values (0::smallint), (1::smallint), (2::smallint)) l (lane)
        union all
        select min(expires_at) from lethe.cleanup_workers where lost_at is null and expires_at <= statement_timestamp()
    ) each
) d
cross join (
    select min(created_at) as oldest from lethe.cleanup_tasks where kind = 'user-delete'
) e
