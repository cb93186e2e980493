-- Rows that the root of an erasure removed itself.
insert into lethe.cleanup_audit (event, worker, task_id, kind, entity_type, entity_id, user_id, attempt,
    sample_ids, collection_ids, user_rows)
select $2, $3, t.id, t.kind, t.entity_type, t.entity_id, t.user_id, t.attempts, $4, $5, $6
from lethe.cleanup_tasks t where t.id = $1
