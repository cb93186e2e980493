-- The next batch of soft-deleted samples in the order of their index and from it alone: those that have
-- neither an open task of their own nor an open erasure of their user, with their users, and the batch's last
-- row. Tasks are looked up one by one (a scalar subquery with a limit), so that the planner does not read the
-- whole queue for each batch.
with batch as materialized (
    select s.id, s.deleted_at from public.samples s
    where s.deleted_at is not null and s.deleted_at <= now()
      and (s.deleted_at, s.id) > (coalesce($1::timestamptz, '-infinity'),
                                  coalesce($2::text, '00000000-0000-0000-0000-000000000000')::uuid)
    order by s.deleted_at, s.id limit 5000
), without_own_task as materialized (
    select b.id, b.deleted_at, case when (
               select t.id from lethe.cleanup_tasks t
               where t.entity_id = b.id::text and t.kind = 'sample-delete' limit 1
           ) is null then (select s.user_id from public.samples s where s.id = b.id) end as user_id
    from batch b
), without_task as materialized (
    select b.id, b.deleted_at, case when (
               select t.id from lethe.cleanup_tasks t
               where t.entity_id = b.user_id and t.kind = 'user-delete' limit 1
           ) is null then b.user_id end as user_id
    from without_own_task b
)
select max(deleted_at) as "last_at: DeletedAt",
       (array_agg(id::text order by deleted_at desc, id desc))[1] as last_id,
       coalesce(array_agg(id::text order by deleted_at, id) filter (where user_id is not null), '{}') as "ids!",
       coalesce(array_agg(user_id order by deleted_at, id) filter (where user_id is not null), '{}') as "user_ids!"
from without_task
