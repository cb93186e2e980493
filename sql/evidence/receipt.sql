-- The receipt of an erasure, in one snapshot: the request, what was removed, and what is left. A completed erasure
-- has its numbers in lethe.receipts; those of an open one are counted.
select b.deleted_at as "requested_at: Timestamp", b.deleted_by as requested_by,
       r.completed_at as "completed_at?: Timestamp", r.sequence as "sequence?", r.signature as "signature?",
       coalesce(r.objects_deleted, a.objects_deleted, 0) as "objects_deleted!",
       coalesce(r.objects_kept, a.objects_kept, 0) as "objects_kept!",
       (select coalesce(jsonb_object_agg(coalesce(n.plural, d.key), coalesce(d.value, '0')), '{}')
        from lethe_map.types() n
        full join jsonb_each(coalesce(r.rows_deleted, a.rows_deleted, '{}')) d on d.key = n.type) as "rows_deleted!",
       coalesce(r.rows_kept, '[]') as "rows_kept!",
       lethe.is_map_incomplete(coalesce(r.completed_at, now())) as "is_map_incomplete!",
       t.tasks as "tasks!", t.objects as "objects!", t.is_held as "is_held!",
       lethe_map.has_rows(b.user_id) as "rows_left!"
from lethe.user_tombstones b
left join lateral (
    select completed_at, objects_deleted, objects_kept, rows_deleted, rows_kept, sequence, signature from lethe.receipts
    where user_id = b.user_id
      and not exists (select from lethe.cleanup_tasks t where t.entity_id = b.user_id and t.kind = 'user-delete')
    order by id desc limit 1
) r on true
left join lateral lethe.removed_since(b.user_id, b.deleted_at) a on r.completed_at is null
cross join lateral (
    select count(*) as tasks, coalesce(sum(cardinality(object_keys)), 0)::bigint as objects,
           coalesce(bool_or(held_reason is not null), false) as is_held
    from lethe.cleanup_tasks where user_id = b.user_id
) t
where b.user_id = $1
