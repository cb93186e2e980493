-- The next receipts to seal, with the digest of their keys. A user with an open task is not erased completely (a row
-- may have come back), and the receipt waits until that task has ended.
select r.id, r.user_id, r.task_id as "task_id: TaskId", r.requested_at as "requested_at: Timestamp",
       r.completed_at as "completed_at: Timestamp", r.objects_deleted, r.objects_kept, r.rows_deleted,
       k.digest as "digest!", k.keys as "keys!"
from (
    select * from lethe.receipts u
    where u.sequence is null and not exists (select from lethe.cleanup_tasks t where t.user_id = u.user_id)
    order by u.id limit $1
) r
cross join lateral lethe.keys_digest(r.user_id, r.requested_at, r.completed_at) k
order by r.id
