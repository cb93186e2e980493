-- Rows that are soft-deleted and not yet purged, newest first (the function says how). The id may be one of several ($2):
-- each is listed by itself. The task is the row's own before that of what it hangs on, and that before its user's. A row can
-- be restored if its own task is untouched and no part of an erasure (as in deletion/lock_open_task.sql).
select p.entity_type as "entity_type!", p.id as "id!", p.user_id as "user_id!",
       p.deleted_at as "deleted_at!: Timestamp", p.deleted_at as "exact_deleted_at!: ExactTime", p.deleted_by,
       t.id as "task_id?: TaskId", t.status as "task_status?: TaskStatus", t.scheduled_at as "scheduled_at?: Timestamp",
       case when t.is_restorable and p.entity_type = any (array(select y.type from lethe_map.types() y where y.is_api))
            then t.scheduled_at end as "restorable_until?: Timestamp"
from unnest(coalesce($2::text[], array[null::text])) as wanted (id)
cross join lateral lethe_map.list_deleted($1, wanted.id, $3, $4, $5, $6, $7, $8, $9, $10::bigint::int)
     with ordinality as p (entity_type, id, user_id, container_id, deleted_at, deleted_by, place)
left join lateral (
    select c.id, c.status, c.scheduled_at,
           c.entity_id = p.id and c.entity_type = p.entity_type and c.status = 'pending' and c.lease_token = 0
               and c.parent_id is null and c.scheduled_at > clock_timestamp() as is_restorable
    from lethe.cleanup_tasks c
    where c.entity_id in (p.id, p.container_id, p.user_id)
      and ((c.kind = 'user-delete' and c.entity_id = p.user_id)
           or (c.kind not in ('user-delete', 'user-delete-part')
               and (c.entity_id = p.container_id or (c.entity_id = p.id and c.entity_type = p.entity_type))))
    order by c.entity_id <> p.id, c.kind = 'user-delete' limit 1
) t on true
order by p.deleted_at desc, p.place limit $10
