-- A page of the erasures of users, newest first; a null parameter does not filter. The status is that of the receipt
-- (src/evidence/receipt.rs). Those that are rare are found by their tasks and rows, not by reading every tombstone.
select b.user_id, b.deleted_at as "requested_at: Timestamp", b.deleted_at as "exact_requested_at: ExactTime",
       b.deleted_by as requested_by, s.status as "status!: ErasureStatus",
       lethe_map.has_user(b.user_id)
           or exists (select from lethe.receipts r
                      where r.user_id = b.user_id and (r.rows_deleted ->> 'user')::bigint > 0)
           or exists (select from lethe.cleanup_audit a
                      where a.user_id = b.user_id and a.rows_removed -> 'user' is not null) as "user_known!",
       e.completed_at as "completed_at?: Timestamp",
       coalesce((select max(t.id) from lethe.cleanup_tasks t where t.user_id = b.user_id and t.kind = 'user-delete'),
                (select max(r.task_id) from lethe.receipts r where r.user_id = b.user_id)) as "task_id: TaskId"
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
