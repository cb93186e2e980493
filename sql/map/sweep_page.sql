-- The next users with a tombstone, by id from $1 (exclusive) on, at most $2: what the map that is applied would still do
-- with their rows, null if nothing, and whether they are being erased already.
select b.user_id as "user_id!: UserId",
       exists (select from lethe.cleanup_tasks t where t.user_id = b.user_id) as "is_open!",
       (select jsonb_agg(jsonb_build_array(l.type, l.action, l.rows) order by l.type, l.action)
        from lethe_map.leftovers(b.user_id, b.user_key) l where l.rows > 0) as "left: Json<Vec<(String, String, i64)>>"
from (select t.user_id, t.user_key from lethe.user_tombstones t where t.user_id > $1 order by t.user_id limit $2) b
order by b.user_id
