-- What is left of a user.
select l.type as "of_type!", l.action as "action!", l.rows as "rows!"
from lethe_map.leftovers($1, (select b.user_key from lethe.user_tombstones b where b.user_id = $1)) l
