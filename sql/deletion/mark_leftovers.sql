-- Soft-deletes the user and a batch of collections that were inserted late or did not fit into the first step:
-- only soft-deleted rows are ever removed.
with tombstone as (
    select deleted_by from lethe.user_tombstones where user_id = $1
), late_user as (
    update public.users u set deleted_at = now(), deleted_by = t.deleted_by from tombstone t
    where u.id = $1 and u.deleted_at is null
)
update public.collections c set deleted_at = now(), deleted_by = t.deleted_by from tombstone t
where c.id in (select id from public.collections where user_id = $1 and deleted_at is null
               limit $2 for no key update skip locked)
