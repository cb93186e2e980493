-- What happened to a task, newest first.
select id, at, event, actor, worker, task_id, kind, entity_type, entity_id, user_id, attempt, object_keys, kept_keys,
       image_ids, sample_ids, collection_ids, user_rows, error_class, detail
from cleanup_audit where task_id = $1
order by id desc limit $2
