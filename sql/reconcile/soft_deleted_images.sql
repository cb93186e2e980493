-- A bite of soft-deleted images, in the order of their index: those of live samples that no task takes up, with
-- their users, and where the next bite begins. Samples and tasks are looked up one by one, as for samples.
with bite as materialized (
    select i.id, i.sample_id, i.deleted_at from sample_images i
    where i.deleted_at is not null and i.deleted_at <= now()
      and (i.deleted_at, i.id) > (coalesce($1::timestamptz, '-infinity'), $2::uuid)
    order by i.deleted_at, i.id limit 5000
), lone as materialized (
    select b.id, b.deleted_at,
           (select s.user_id from samples s where s.id = b.sample_id and s.deleted_at is null) as user_id
    from bite b
), orphan as materialized (
    select l.id, l.deleted_at, l.user_id
    from lone l
    where l.user_id is not null
      and (select t.id from cleanup_tasks t
           where t.entity_id = l.id::text and t.kind = 'image-delete'
             and t.finished_at is null limit 1) is null
      and (select t.id from cleanup_tasks t
           where t.entity_id = l.user_id and t.kind = 'user-delete'
             and t.finished_at is null limit 1) is null
)
select b.last_at, b.last_id, o.ids as "orphans!", o.owners as "owners!"
from (
    select max(deleted_at) as last_at, (array_agg(id order by deleted_at desc, id desc))[1] as last_id from bite
) b
cross join (
    select coalesce(array_agg(id order by deleted_at, id), '{}') as ids,
           coalesce(array_agg(user_id order by deleted_at, id), '{}') as owners
    from orphan
) o
