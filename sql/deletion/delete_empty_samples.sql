-- Removes a batch of the user's samples that have no image left.
with empty as materialized (
    select s.id from public.samples s
    where s.user_id = $1 and s.deleted_at is not null
      and not exists (select from public.sample_images i where i.sample_id = s.id)
      and not exists (select from lethe.cleanup_tasks t where t.entity_id = s.id::text and t.kind = 'sample-delete'
                      and t.finished_at is null)
    order by s.id limit $2
    for update of s skip locked
)
delete from public.samples s using empty
where s.id = empty.id and not exists (select from public.sample_images i where i.sample_id = s.id)
returning s.id
