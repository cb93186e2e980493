-- The next batch of soft-deleted users in the order of their index: those without an open erasure (a dead one
-- is open, a person has it), and the batch's last row. A time in the future is a plan, not a deletion. The
-- size of the batch is a literal, because a parameter would hide it from the planner.
with batch as materialized (
    select u.id, u.deleted_at from public.users u
    where u.deleted_at is not null and u.deleted_at <= now()
      and (u.deleted_at, u.id) > (coalesce($1::timestamptz, '-infinity'), coalesce($2::text, ''))
    order by u.deleted_at, u.id limit 5000
), checked as materialized (
    select b.id, b.deleted_at,
           (select t.id from lethe.cleanup_tasks t
            where t.entity_id = b.id and t.kind = 'user-delete' limit 1) as task_id
    from batch b
)
select max(deleted_at) as "last_at: DeletedAt", (array_agg(id order by deleted_at desc, id desc))[1] as last_id,
       coalesce(array_agg(id order by deleted_at, id) filter (where task_id is null), '{}') as "ids!",
       coalesce(array_agg(id order by deleted_at, id) filter (where task_id is null), '{}') as "user_ids!"
from checked
