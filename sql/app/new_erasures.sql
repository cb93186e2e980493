-- Erasures that were requested after $1, and at the start ($2) also those that are still open.
select t.user_id, t.deleted_at as "deleted_at: Timestamp"
from lethe.user_tombstones t
where t.deleted_at > $1
   or ($2 and exists (select from lethe.cleanup_tasks c
                      where c.user_id = t.user_id and c.kind = 'user-delete'
                        and c.status in ('pending', 'running', 'failed')))
order by t.deleted_at limit 100
