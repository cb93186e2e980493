-- A crash is an attempt, and its error is kept.
insert into lethe.cleanup_audit (event, worker, task_id, kind, entity_type, entity_id, user_id, attempt, error_class, detail)
select case when t.status = 'dead' then 'task-dead' else 'task-failed' end, $2, t.id, t.kind, t.entity_type,
    t.entity_id, t.user_id, t.attempts, 'crash', t.last_error
from lethe.cleanup_tasks t where t.id = any ($1) order by t.id
