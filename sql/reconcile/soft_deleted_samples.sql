-- A bite of soft-deleted samples, in the order of their index and from it alone: those that neither a task
-- of their own nor the erasure of their user takes up, with their users, and where the next bite begins.
-- Tasks are looked up one by one: the limit keeps the planner from reading the whole queue for each bite.
with bite as materialized (
    select s.id, s.deleted_at from samples s
    where s.deleted_at is not null and s.deleted_at <= now()
      and (s.deleted_at, s.id) > (coalesce($1::timestamptz, '-infinity'), $2::uuid)
    order by s.deleted_at, s.id limit 5000
), untasked as materialized (
    select b.id, b.deleted_at, (select s.user_id from samples s where s.id = b.id) as user_id
    from bite b
    where (select t.id from cleanup_tasks t
           where t.entity_id = b.id::text and t.kind = 'sample-delete'
             and t.finished_at is null limit 1) is null
), orphan as materialized (
    select u.id, u.deleted_at, u.user_id
    from untasked u
    where u.user_id is not null
      and (select t.id from cleanup_tasks t
           where t.entity_id = u.user_id and t.kind = 'user-delete'
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
