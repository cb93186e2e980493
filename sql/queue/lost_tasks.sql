-- Locks what these lost workers still hold of these tasks, in id order like a settle. If a late worker is
-- settling a task at this moment, this waits for it, and the task is not lost then. A worker that deregistered
-- itself was lost before its lease expired.
select t.id as "id!: TaskId", t.attempts as "attempts!",
    t.error_class is not distinct from 'crash' as "crashed_before!", t.lease_owner as "lease_owner!",
    exists (select from lethe.cleanup_workers w
            where w.id = t.lease_owner and w.lost_at < w.expires_at) as "left_in_order!"
from lethe.cleanup_tasks t
where t.id = any ($1)
  and (t.lease_owner = any ($2)
       or not exists (select from lethe.cleanup_workers w where w.id = t.lease_owner))
  and t.lease_owner is not null
order by t.id
for update of t
