-- Ends locked claims that are wholly done. Apart from finish.sql, because it does not set scheduled_at:
-- the trigger that wakes sleepers has nothing to do.
update lethe.cleanup_tasks
set status = 'completed', object_keys = '{}', last_error = null, error_class = null,
    lease_owner = null, updated_at = now(), finished_at = now()
where id = any ($1)
