-- One task. Its lease stands with its worker, not in the task.
select t.id as "id: TaskId", t.kind, t.entity_type, t.entity_id, t.user_id, t.object_keys,
       t.status as "status: TaskStatus", t.attempts, t.scheduled_at as "scheduled_at: Timestamp", t.last_error,
       t.error_class as "error_class: ErrorClass", t.lease_owner,
       w.expires_at as "lease_expires_at?: Timestamp", t.parent_id as "parent_id: TaskId",
       t.created_at as "created_at: Timestamp", t.updated_at as "updated_at: Timestamp",
       t.finished_at as "finished_at: Timestamp"
from lethe.cleanup_tasks t left join lethe.cleanup_workers w on w.id = t.lease_owner
where t.id = $1
