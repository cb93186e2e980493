-- The next batch of soft-deleted images in the order of their index: those of live samples that have neither
-- an open task of their own nor an open erasure of their user, with their users, and the batch's last row.
-- Samples and tasks are looked up one by one, as in soft_deleted_samples.sql.
with batch as materialized (
    select i.id, i.sample_id, i.deleted_at from public.sample_images i
    where i.deleted_at is not null and i.deleted_at <= now()
      and (i.deleted_at, i.id) > (coalesce($1::timestamptz, '-infinity'),
                                  coalesce($2::text, '00000000-0000-0000-0000-000000000000')::uuid)
    order by i.deleted_at, i.id limit 5000
), of_live_sample as materialized (
    select b.id, b.deleted_at,
           (select s.user_id from public.samples s where s.id = b.sample_id and s.deleted_at is null) as user_id
    from batch b
), without_task as materialized (
    select b.id, b.deleted_at, case when b.user_id is not null and (
               select t.id from lethe.cleanup_tasks t
               where t.entity_id = b.id::text and t.kind = 'image-delete' limit 1
           ) is null and (
               select t.id from lethe.cleanup_tasks t
               where t.entity_id = b.user_id and t.kind = 'user-delete' limit 1
           ) is null then b.user_id end as user_id
    from of_live_sample b
)
select max(deleted_at) as "last_at: DeletedAt",
       (array_agg(id::text order by deleted_at desc, id desc))[1] as last_id,
       coalesce(array_agg(id::text order by deleted_at, id) filter (where user_id is not null), '{}') as "ids!",
       coalesce(array_agg(user_id order by deleted_at, id) filter (where user_id is not null), '{}') as "user_ids!"
from without_task
