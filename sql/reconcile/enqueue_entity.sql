-- Enqueues the deletion of a row if it is still needed. The grace period of $3 seconds counts from the soft delete; what
-- remains of it is never negative, and finite even if deleted_at is -infinity.
with locked as materialized (
    select e.id, e.deleted_at from lethe_map.entity($1, $2) e
    where e.deleted_at <= now()
      and not exists (
          select from lethe.cleanup_tasks t
          where t.entity_id = e.id and t.entity_type = $1 and t.kind <> 'user-delete-part')
      and not exists (
          select from lethe.cleanup_tasks t
          where t.entity_id = e.user_id and t.kind = 'user-delete')
)
select lethe.delete($1, locked.id, 'reconcile',
           greatest(locked.deleted_at, now() - make_interval(secs => $3))
           + make_interval(secs => $3) - now()) as task_id
from locked
