-- A live image of a soft-deleted sample goes with its sample.
update public.sample_images i set deleted_at = s.deleted_at, deleted_by = s.deleted_by
from public.samples s
where s.id = i.sample_id and i.id = any ($1) and i.deleted_at is null
