-- The next tombstones in the order of their users, and whether the user has no row.
select b.user_id, not lethe_map.has_user(b.user_id) as "is_gone!"
from lethe.user_tombstones b where b.user_id > $1 order by b.user_id limit $2
