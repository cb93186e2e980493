-- A task whose work has not begun becomes a cancelled record, which keeps its keys: nothing of them was deleted.
with taken as (
    delete from lethe.cleanup_tasks where id = $1 and status = 'pending' and lease_token = 0 returning *
)
insert into lethe.finished_tasks (id, kind, entity_type, entity_id, user_id, parent_id, status, attempts,
    scheduled_at, created_at, object_keys, kept_keys, row_type, row_ids)
select id, kind, entity_type, entity_id, user_id, parent_id, 'cancelled', attempts, scheduled_at, created_at, '{}',
    object_keys, row_type, '{}'
from taken
