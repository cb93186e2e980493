-- The next batch of tombstones: users whose row is there again, and live, without an open erasure. A backup
-- brings them back past the trigger. Soft-deleted users are found by soft_deleted_users.sql.
with batch as materialized (
    select t.user_id as id from lethe.user_tombstones t
    where t.user_id > coalesce($1::text, '') order by t.user_id limit 5000
), checked as materialized (
    select b.id,
           (select u.id from public.users u where u.id = b.id and u.deleted_at is null limit 1) is not null
           and (select t.id from lethe.cleanup_tasks t
                where t.entity_id = b.id and t.kind = 'user-delete' limit 1) is null as is_back
    from batch b
)
select null::timestamptz as "last_at: DeletedAt", max(id) as last_id,
       coalesce(array_agg(id order by id) filter (where is_back), '{}') as "ids!",
       coalesce(array_agg(id order by id) filter (where is_back), '{}') as "user_ids!"
from checked
