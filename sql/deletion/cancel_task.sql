-- The keys stay in the cancelled task: nothing of them was deleted.
update lethe.cleanup_tasks
set status = 'cancelled', finished_at = now(), updated_at = now()
where id = $1 and status = 'pending' and lease_token = 0
