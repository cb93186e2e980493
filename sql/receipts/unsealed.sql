-- The next receipts to seal, with the digest of their keys and of the map that held. A user with an open task is not
-- erased completely (a row may have come back), and the receipt waits until that task has ended. An erasure under a map
-- that did not speak of every reference is never signed as complete.
select r.id, r.user_id, r.task_id as "task_id: TaskId", r.requested_at as "requested_at: Timestamp",
       r.completed_at as "completed_at: Timestamp", r.objects_deleted, r.objects_kept, r.rows_deleted, r.rows_kept,
       m.digest as "map_digest!", k.digest as "digest!", k.keys as "keys!"
from (
    select * from lethe.receipts u
    where u.sequence is null and not exists (select from lethe.cleanup_tasks t where t.user_id = u.user_id)
    order by u.id limit $1
) r
cross join lateral (
    select coalesce((select a.id from lethe.maps a where a.applied_at <= r.completed_at order by a.id desc limit 1),
                    (select min(a.id) from lethe.maps a)) as id
) held
join lethe.maps m on m.id = held.id and not lethe.is_map_incomplete(r.completed_at)
cross join lateral lethe.keys_digest(r.user_id, r.requested_at, r.completed_at) k
order by r.id
