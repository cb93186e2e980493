-- Locks what these lost workers still hold of these tasks, in id order like a settle. One that is settled
-- at this moment by its late worker is waited for, and is not lost then. A worker that left in order was
-- lost before its lease was out.
select t.id as "id!", t.attempts as "attempts!",
    t.error_class is not distinct from 'crash' as "crashed_before!", t.lease_owner as "lease_owner!",
    exists (select from cleanup_workers w
            where w.id = t.lease_owner and w.lost_at < w.expires_at) as "left_in_order!"
from cleanup_tasks t
where t.id = any ($1) and t.lease_owner = any ($2)
order by t.id
for update of t
