-- The images that went with the sample are live again: of those that its task names, the ones that were marked with
-- the sample or later. If the sample was marked before its task was written, the application did it, and may have
-- marked the images first; then all of them come back.
update public.sample_images i
set deleted_at = null, deleted_by = null
from public.samples s, lethe.cleanup_tasks task
where s.id = $1 and task.id = $2 and i.id = any (task.row_ids::uuid[]) and i.sample_id = $1
  and i.deleted_at is not null
  and (i.deleted_at >= s.deleted_at or s.deleted_at <> task.created_at)
