-- Enqueues the deletion of a sample if it is still needed. The grace period of $2 seconds counts from the
-- soft delete; what remains of it is never negative, and finite even if deleted_at is -infinity.
with locked as materialized (
    select s.id, s.deleted_at from public.samples s
    where s.id = $1::text::uuid and s.deleted_at <= now()
      and not exists (
          select from lethe.cleanup_tasks t
          where t.entity_id = s.id::text and t.kind = 'sample-delete')
      and not exists (
          select from lethe.cleanup_tasks t
          where t.entity_id = s.user_id and t.kind = 'user-delete')
    for no key update of s
)
select lethe.delete_sample(locked.id, 'reconcile',
           greatest(locked.deleted_at, now() - make_interval(secs => $2))
           + make_interval(secs => $2) - now()) as task_id
from locked
