-- Asks for the deletion of an image if that is still called for. The grace runs from the soft delete on.
with held as materialized (
    select i.id, i.deleted_at
    from sample_images i join samples s on s.id = i.sample_id
    where i.id = $1 and i.deleted_at <= now() and s.deleted_at is null
      and not exists (
          select from cleanup_tasks t
          where t.entity_id = i.id::text and t.kind = 'image-delete' and t.finished_at is null)
      and not exists (
          select from cleanup_tasks t
          where t.entity_id = s.user_id and t.kind = 'user-delete' and t.finished_at is null)
    for no key update of s
)
select lethe_delete_image(held.id, 'reconcile',
           greatest(held.deleted_at + make_interval(secs => $2) - now(), interval '0')) as task_id
from held
