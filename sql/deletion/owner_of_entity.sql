-- Whose row it is, before anything is locked: the owner's lock comes first. Null if there is no such row.
select lethe_map.owner_of($1, $2) as user_id
