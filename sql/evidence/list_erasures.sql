-- A page of the erasures of users, newest first; a null parameter does not filter. Those that stand have a tombstone, and
-- their status is that of the receipt (src/evidence/receipt.rs); the rare ones are found by their tasks and rows, not by
-- reading every tombstone. Those that were cancelled stand in the audit trail, each with its own task. Both give a page
-- from their own index. At one time and of one user the tombstone comes first, as the greatest number.
with standing as (
    select b.user_id, b.deleted_at, b.deleted_by, s.status, e.completed_at, null::bigint as task_id,
           9223372036854775807 as place
    from lethe.user_tombstones b
    cross join lateral (
        select max(r.completed_at) as completed_at from lethe.receipts r where r.user_id = b.user_id
    ) e
    cross join lateral (
        select case
            when not exists (select from lethe.cleanup_tasks t where t.user_id = b.user_id)
                 and not lethe_map.has_rows(b.user_id)
            then case when lethe.is_map_incomplete(coalesce(e.completed_at, now())) then 'incomplete' else 'complete' end
            when exists (select from lethe.cleanup_tasks t where t.user_id = b.user_id and t.is_dead) then 'incomplete'
            when exists (select from lethe.cleanup_tasks t
                         where t.user_id = b.user_id and t.held_reason is not null) then 'held'
            else 'in-progress'
        end as status
    ) s
    where ($1::text is null or s.status = $1)
      and $1 is distinct from 'cancelled'
      and ($1 is distinct from 'incomplete'
           or b.user_id in (select t.user_id from lethe.cleanup_tasks t where t.is_dead)
           or exists (select from lethe.maps m where m.is_incomplete) or exists (select from lethe.map_drift))
      and ($1 is distinct from 'held'
           or b.user_id in (select t.user_id from lethe.cleanup_tasks t where t.held_reason is not null))
      and ($1 is distinct from 'in-progress'
           or b.user_id in (select t.user_id from lethe.cleanup_tasks t
                            union select unnest((lethe_map.soft_deleted('user', null, null, 100000)).ids)))
      and ($2::timestamptz is null or b.deleted_at >= $2)
      and ($3::timestamptz is null or b.deleted_at < $3)
      and ($4::text is null or b.deleted_by = $4)
      and ($5::timestamptz is null or (b.deleted_at, b.user_id) < ($5, $6::text))
    order by b.deleted_at desc, b.user_id desc limit $7
), cancelled as (
    select c.user_id, c.requested_at, c.requested_by, 'cancelled' as status, null::timestamptz as completed_at, c.task_id,
           c.task_id as place
    from lethe.cleanup_audit c
    where c.event = 'erasure-cancelled' and ($1::text is null or $1 = 'cancelled')
      and ($2::timestamptz is null or c.requested_at >= $2)
      and ($3::timestamptz is null or c.requested_at < $3)
      and ($4::text is null or c.requested_by = $4)
      and ($5::timestamptz is null or (c.requested_at, c.user_id, c.task_id) < ($5, $6::text, $8::bigint))
    order by c.requested_at desc, c.user_id desc, c.task_id desc limit $7
), page as (
    (select * from standing union all select * from cancelled)
    order by deleted_at desc, user_id desc, place desc limit $7
)
select p.user_id as "user_id!", p.deleted_at as "requested_at!: Timestamp",
       p.deleted_at as "exact_requested_at!: ExactTime", p.deleted_by as "requested_by!", p.status as "status!: ErasureStatus",
       p.place as "place!",
       lethe_map.has_user(p.user_id)
           or exists (select from lethe.receipts r
                      where r.user_id = p.user_id and (r.rows_deleted ->> 'user')::bigint > 0)
           or exists (select from lethe.cleanup_audit a
                      where a.user_id = p.user_id and a.rows_removed -> 'user' is not null) as "user_known!",
       p.completed_at as "completed_at: Timestamp",
       coalesce(p.task_id,
                (select t.id from lethe.cleanup_tasks t where t.entity_id = p.user_id and t.kind = 'user-delete' limit 1),
                (select r.task_id from lethe.receipts r where r.user_id = p.user_id
                 order by r.id desc limit 1)) as "task_id: TaskId"
from page p
order by p.deleted_at desc, p.user_id desc, p.place desc
