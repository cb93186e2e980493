-- The next batch of tombstones: users of whom rows are there again, and live, without an open erasure. A backup
-- brings them back past the trigger. Soft-deleted users are found by soft_deleted.sql.
with batch as materialized (
    select t.user_id as id from lethe.user_tombstones t
    where t.user_id > coalesce($1::text, '') order by t.user_id limit 5000
), checked as materialized (
    select b.id,
           (select t.id from lethe.cleanup_tasks t
            where t.entity_id = b.id and t.kind = 'user-delete' limit 1) is null
           and lethe_map.has_rows(b.id) and lethe_map.user_deleted_at(b.id) is null as is_back
    from batch b
)
select null::timestamptz as "last_at: DeletedAt", max(id) as last_id,
       coalesce(array_agg(id order by id) filter (where is_back), '{}') as "ids!",
       coalesce(array_agg(id order by id) filter (where is_back), '{}') as "user_ids!"
from checked
