-- A page of the audit trail, newest first; a null parameter does not filter. An entity is a sample or an
-- image, whose tasks are $11 (entity_tasks.sql), or a user.
select id as "id!: AuditId", at as "at!: Timestamp", event as "event!", actor, worker, task_id as "task_id: TaskId", kind,
       entity_type, entity_id, user_id, attempt, object_keys as "object_keys!", kept_keys as "kept_keys!", row_type,
       row_ids as "row_ids!", more_rows, error_class as "error_class: ErrorClass", detail
from lethe.audit
where ($1::text is null or event = $1)
  and ($2::text is null or actor = $2)
  and ($3::bigint is null or task_id = $3)
  and ($4::text is null or entity_type = $4)
  and ($5::text is null or entity_id = $5)
  and ($5::text is null or $11::bigint[] is not null or user_id = $5)
  and ($11::bigint[] is null or task_id = any ($11))
  and ($6::text is null or user_id = $6)
  and ($7::timestamptz is null or at >= $7)
  and ($8::timestamptz is null or at < $8)
  and ($9::bigint is null or id < $9)
order by id desc limit $10
