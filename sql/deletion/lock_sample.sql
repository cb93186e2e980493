-- The sample and whether its owner is deleted, held until the transaction ends.
select s.id, s.user_id, s.collection_id, s.name, s.created_at, s.deleted_at is not null as "deleted!", s.deleted_by,
       exists (select from lethe.user_tombstones t where t.user_id = s.user_id)
           or exists (select from public.users u where u.id = s.user_id and u.deleted_at is not null) as "owner_deleted!"
from public.samples s where s.id = $1 for no key update of s
