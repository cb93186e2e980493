-- Asks for the deletion of a sample if that is still called for. The grace runs from the soft delete on.
with held as materialized (
    select s.id, s.deleted_at from samples s
    where s.id = $1 and s.deleted_at <= now()
      and not exists (
          select from cleanup_tasks t
          where t.entity_id = s.id::text and t.kind = 'sample-delete' and t.finished_at is null)
      and not exists (
          select from cleanup_tasks t
          where t.entity_id = s.user_id and t.kind = 'user-delete' and t.finished_at is null)
    for no key update of s
)
select lethe_delete_sample(held.id, 'reconcile',
           greatest(held.deleted_at + make_interval(secs => $2) - now(), interval '0')) as task_id
from held
