-- The row and whether its owner is deleted, held until the transaction ends.
select e.id as "id!", e.user_id as "user_id!", e.deleted_at is not null as "deleted!", e.deleted_by,
       exists (select from lethe.user_tombstones t where t.user_id = e.user_id)
           or lethe_map.user_deleted_at(e.user_id) is not null as "owner_deleted!",
       e.details as "details!"
from lethe_map.entity($1, $2) e
