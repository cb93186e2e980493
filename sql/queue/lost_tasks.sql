-- Tasks whose worker is lost or unknown, in bounded bites. The running index is as short as the claims.
select t.id as "id!", t.lease_token as "lease_token!", t.attempts as "attempts!",
    t.error_class is not distinct from 'crash' as "crashed_before!", t.lease_owner as "lease_owner!"
from cleanup_tasks t
where t.status = 'running'
  and not exists (select from cleanup_workers w where w.id = t.lease_owner and w.lost_at is null)
order by t.id
limit $1
for update of t skip locked
