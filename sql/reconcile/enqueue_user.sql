-- Enqueues the erasure of a user if it is still needed. The row is checked again, and locked, because its
-- deletion may have begun, ended or been taken back since it was found.
with locked as materialized (
    select u.id from public.users u
    where u.id = $1
      and (u.deleted_at <= now() or exists (select from lethe.user_tombstones b where b.user_id = u.id))
      and not exists (
          select from lethe.cleanup_tasks t
          where t.entity_id = u.id and t.kind = 'user-delete')
    for no key update of u
)
select lethe.delete_user(locked.id, 'reconcile') as task_id from locked
