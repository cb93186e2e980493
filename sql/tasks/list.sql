-- A page of tasks, newest first; a null parameter does not filter. An entity is a row,
-- whose tasks are $8 (entity_tasks.sql), or a user; its id may be one of several ($3). Open and finished tasks each
-- give a page from their own indexes.
with page as (
    (select t.id
     from lethe.cleanup_tasks t
     where ($1::text is null or t.status = $1)
       -- The rare ones have an index of their own; `status` itself stands in none.
       and ($1 is distinct from 'dead' or t.is_dead)
       and ($1 is distinct from 'failed' or t.error_class is not null)
       and ($2::text is null or t.entity_type = $2)
       and ($3::text[] is null or t.entity_id = any ($3))
       and ($3::text[] is null or $8::bigint[] is not null or t.user_id = any ($3))
       and ($8::bigint[] is null or t.id = any ($8))
       and ($4::text is null or t.user_id = $4)
       and ($5::text is null or t.error_class = $5)
       and ($6::bigint is null or t.id < $6)
       and ($9::text is null or t.kind = $9)
       and ($10::bigint is null or t.parent_id = $10)
     order by t.id desc limit $7)
    union all
    (select t.id
     from lethe.finished_tasks t
     where ($1::text is null or t.status = $1)
       and ($2::text is null or t.entity_type = $2)
       and ($3::text[] is null or t.entity_id = any ($3))
       and ($3::text[] is null or $8::bigint[] is not null or t.user_id = any ($3))
       and ($8::bigint[] is null or t.id = any ($8))
       and ($4::text is null or t.user_id = $4)
       and $5::text is null
       and ($6::bigint is null or t.id < $6)
       and ($9::text is null or t.kind = $9)
       and ($10::bigint is null or t.parent_id = $10)
     order by t.id desc limit $7)
    order by id desc limit $7
)
select t.id as "id!: TaskId", t.kind as "kind!", t.entity_type as "entity_type!", t.entity_id as "entity_id!: EntityId",
       t.user_id as "user_id!", t.object_keys as "object_keys!", t.status as "status!: TaskStatus",
       t.attempts as "attempts!", t.scheduled_at as "scheduled_at!: Timestamp", t.last_error,
       t.error_class as "error_class: ErrorClass", t.held_reason, t.lease_owner,
       w.expires_at as "lease_expires_at?: Timestamp", t.parent_id as "parent_id: TaskId",
       t.created_at as "created_at!: Timestamp", t.updated_at as "updated_at!: Timestamp",
       t.finished_at as "finished_at: Timestamp"
from page p
cross join lateral (select * from lethe.tasks o where o.id = p.id limit 1) t
left join lethe.cleanup_workers w on w.id = t.lease_owner
order by t.id desc
