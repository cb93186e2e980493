-- Asks for the erasure of a user whom Clerk no longer has, if nothing has changed here since.
with held as materialized (
    select u.id from users u
    where u.id = $1 and u.deleted_at is null and u.created_at < $2
    for no key update of u
)
select lethe_delete_user(held.id, 'reconcile:clerk') as "task_id!" from held
