-- The map that holds.
select id, map, digest, script_digest, is_incomplete, applied_at as "applied_at: Timestamp"
from lethe.maps order by id desc limit 1
