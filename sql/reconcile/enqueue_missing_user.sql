-- Enqueues the erasure of a user that Clerk no longer has, if nothing has changed here since.
with locked as materialized (
    select u.id from public.users u
    where u.id = $1 and u.deleted_at is null and u.created_at < $2
    for no key update of u
)
select lethe.delete_user(locked.id, 'reconcile:clerk') as task_id from locked
