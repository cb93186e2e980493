-- A bite of soft-deleted users, in the order of their index: those without an open erasure (a dead one is
-- open, a person has it), and where the next bite begins. A time in the future is somebody's plan. The
-- bite's size is a literal, because a parameter would hide it from the planner.
with bite as materialized (
    select u.id, u.deleted_at from users u
    where u.deleted_at is not null and u.deleted_at <= now()
      and (u.deleted_at, u.id) > (coalesce($1::timestamptz, '-infinity'), $2::text)
    order by u.deleted_at, u.id limit 5000
)
select max(b.deleted_at) as last_at,
       (array_agg(b.id order by b.deleted_at desc, b.id desc))[1] as last_id,
       coalesce(array_agg(b.id order by b.deleted_at, b.id) filter (where
           (select t.id from cleanup_tasks t
            where t.entity_id = b.id and t.kind = 'user-delete'
              and t.finished_at is null limit 1) is null), '{}') as "orphans!"
from bite b
