-- One task, open or finished. Its lease stands with its worker, not in the task.
select t.id as "id!: TaskId", t.kind as "kind!", t.entity_type as "entity_type!", t.entity_id as "entity_id!: EntityId",
       t.user_id as "user_id!", t.object_keys as "object_keys!", t.status as "status!: TaskStatus",
       t.attempts as "attempts!", t.scheduled_at as "scheduled_at!: Timestamp", t.last_error,
       t.error_class as "error_class: ErrorClass", t.held_reason, t.lease_owner,
       w.expires_at as "lease_expires_at?: Timestamp", t.parent_id as "parent_id: TaskId",
       t.created_at as "created_at!: Timestamp", t.updated_at as "updated_at!: Timestamp",
       t.finished_at as "finished_at: Timestamp"
from lethe.tasks t left join lethe.cleanup_workers w on w.id = t.lease_owner
where t.id = $1
