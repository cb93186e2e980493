-- A bite of tombstones: the users whose row is there again, and live, without an open erasure. A backup
-- brings them back past the trigger. Soft-deleted ones are found with all others that are.
with bite as materialized (
    select t.user_id from user_tombstones t where t.user_id > $1 order by t.user_id limit 5000
)
select max(b.user_id) as last_id,
       coalesce(array_agg(b.user_id order by b.user_id) filter (where
           (select u.id from users u where u.id = b.user_id and u.deleted_at is null limit 1) is not null
           and (select t.id from cleanup_tasks t
                where t.entity_id = b.user_id and t.kind = 'user-delete'
                  and t.finished_at is null limit 1) is null), '{}') as "orphans!"
from bite b
