-- The images that went with the sample are live again: those marked with it or later. If the sample was marked
-- before its task was written, the application did it, and may have marked the images first; then all of them
-- come back. An image with an open deletion of its own stays deleted.
update public.sample_images i
set deleted_at = null, deleted_by = null
from public.samples s, lethe.cleanup_tasks task
where s.id = $1 and task.id = $2 and i.sample_id = $1 and i.deleted_at is not null
  and (i.deleted_at >= s.deleted_at or s.deleted_at <> task.created_at)
  and (select t.id from lethe.cleanup_tasks t
       where t.entity_id = i.id::text and t.kind = 'image-delete' and t.finished_at is null limit 1) is null
