-- The workers that are alive, those that are lost, and what they hold. Claimed tasks stand at the left end of each
-- lane's index, because they were due: the first $1 open tasks of each lane are read, which is more than the workers
-- hold together. The hour allows for the clocks of former primaries.
with held as (
    select t.lease_owner, t.id
    from (values (0::smallint), (1::smallint), (2::smallint)) l (lane)
    cross join lateral (
        select lease_owner, id from lethe.cleanup_tasks
        where not is_dead and held_reason is null and lane = l.lane and scheduled_at <= now() + interval '1 hour'
        order by scheduled_at, id limit $1
    ) t
    where t.lease_owner is not null
), by_worker as (
    select lease_owner, count(*) as tasks, (array_agg(id order by id))[1:10] as task_ids from held group by lease_owner
)
select w.id as "id!", w.started_at as "started_at!: Timestamp", w.expires_at as "lease_expires_at!: Timestamp",
       w.lost_at as "lost_at: Timestamp",
       case when w.lost_at is null and w.expires_at > now() then 'alive'
            when w.rescued_at is not null then 'gone'
            else 'lost' end as "state!: WorkerState",
       w.sleeping as "idle!", coalesce(h.tasks, 0) as "tasks!", coalesce(h.task_ids, '{}') as "task_ids!: Vec<TaskId>"
from lethe.cleanup_workers w left join by_worker h on h.lease_owner = w.id
order by (w.lost_at is not null), w.started_at, w.id
limit $2
