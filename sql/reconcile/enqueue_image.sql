-- Enqueues the deletion of an image if it is still needed. The grace period is that of enqueue_sample.sql.
with locked as materialized (
    select i.id, i.deleted_at
    from public.sample_images i join public.samples s on s.id = i.sample_id
    where i.id = $1::text::uuid and i.deleted_at <= now() and s.deleted_at is null
      and not exists (
          select from lethe.cleanup_tasks t
          where t.entity_id = i.id::text and t.kind = 'image-delete')
      and not exists (
          select from lethe.cleanup_tasks t
          where t.entity_id = s.user_id and t.kind = 'user-delete')
    for no key update of s
)
select lethe.delete_image(locked.id, 'reconcile',
           greatest(locked.deleted_at, now() - make_interval(secs => $2))
           + make_interval(secs => $2) - now()) as task_id
from locked
