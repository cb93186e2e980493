-- Who had a task tried again, and why.
insert into cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id, error_class, detail)
values ('task-retried', $1, $2, $3, $4, $5, $6, $7, $8)
