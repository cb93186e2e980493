-- One task; its lease is kept with its worker, not in the task.
select t.id, t.kind, t.entity_type, t.entity_id, t.user_id, t.object_keys, t.status, t.attempts, t.scheduled_at,
       t.last_error, t.error_class, t.lease_owner, w.expires_at as "lease_expires_at?", t.parent_id, t.created_at,
       t.updated_at, t.finished_at
from cleanup_tasks t left join cleanup_workers w on w.id = t.lease_owner
where t.id = $1
