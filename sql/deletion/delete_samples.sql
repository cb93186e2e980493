-- Removes locked, soft-deleted samples that have no image left.
delete from public.samples s
where s.id = any ($1) and s.deleted_at is not null
  and not exists (select from public.sample_images i where i.sample_id = s.id)
returning s.id
