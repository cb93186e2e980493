-- The next users in the order of their ids: whether each has a tombstone, and whether it is being erased already.
select u.id as "id!",
       exists (select from lethe.user_tombstones b where b.user_id = u.id) as "has_tombstone!",
       exists (select from lethe.cleanup_tasks t where t.entity_id = u.id and t.kind = 'user-delete') as "is_open!"
from lethe_map.user_ids($1, $2::bigint::int) u (id)
