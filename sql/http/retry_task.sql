-- Starts anew what failed; the lane stays, so that quarantined work is still taken one at a time.
update cleanup_tasks
set status = 'pending', scheduled_at = clock_timestamp(), attempts = 0, updated_at = now()
where id = $1 and status in ('failed', 'dead')
returning kind, entity_type, entity_id, user_id, error_class
