-- A page of the audit trail, newest first; a null parameter does not filter. An entity is a row,
-- whose tasks are $11 (entity_tasks.sql), or a user; its id may be one of several ($5). Entries and finished tasks each
-- give a page from their own indexes; a completed task is the event `task-completed`, a completed erasure
-- `user-erased`.
with page as (
    (select id from lethe.cleanup_audit
     where ($1::text is null or event = $1)
       and ($2::text is null or actor = $2)
       and ($3::bigint is null or task_id = $3)
       and ($4::text is null or entity_type = $4)
       and ($5::text[] is null or entity_id = any ($5))
       and ($5::text[] is null or $11::bigint[] is not null or user_id = any ($5))
       and ($11::bigint[] is null or task_id = any ($11))
       and ($6::text is null or user_id = $6)
       and ($7::timestamptz is null or at >= $7)
       and ($8::timestamptz is null or at < $8)
       and ($9::bigint is null or id < $9)
     order by id desc limit $10)
    union all
    (select audit_id from lethe.finished_tasks f
     where f.status = 'completed'
       and ($1::text is null or $1 in ('user-erased', 'task-completed'))
       and ($1 is distinct from 'user-erased' or f.kind = 'user-delete')
       and ($1 is distinct from 'task-completed' or f.kind <> 'user-delete')
       and $2::text is null
       and ($3::bigint is null or f.id = $3)
       and ($4::text is null or f.entity_type = $4)
       and ($5::text[] is null or f.entity_id = any ($5))
       and ($5::text[] is null or $11::bigint[] is not null or f.user_id = any ($5))
       and ($11::bigint[] is null or f.id = any ($11))
       and ($6::text is null or f.user_id = $6)
       and ($7::timestamptz is null or f.finished_at >= $7)
       and ($8::timestamptz is null or f.finished_at < $8)
       and ($9::bigint is null or f.audit_id < $9)
     order by audit_id desc limit $10)
    order by id desc limit $10
)
select a.id as "id!: AuditId", a.at as "at!: Timestamp", a.event as "event!", a.actor, a.worker,
       a.task_id as "task_id: TaskId", a.kind, a.entity_type, a.entity_id as "entity_id: EntityId", a.user_id, a.attempt,
       a.object_keys as "object_keys!", a.kept_keys as "kept_keys!", a.row_type, a.row_ids as "row_ids!", a.more_rows,
       a.error_class as "error_class: ErrorClass", a.detail
from page p cross join lateral (select * from lethe.audit e where e.id = p.id limit 1) a
order by a.id desc
