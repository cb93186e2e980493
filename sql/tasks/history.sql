-- What happened to a task, newest first, without the keys, which may be a thousand a line.
select at, event, actor, worker, attempt, error_class, detail,
       coalesce(objects_deleted, 0) as "objects_deleted!", coalesce(objects_kept, 0) as "objects_kept!"
from cleanup_audit where task_id = $1
order by id desc limit 50
