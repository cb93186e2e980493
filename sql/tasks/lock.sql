-- Waits until nobody else holds the task, so that its status cannot change while a retry decides.
select status as "status: TaskStatus" from lethe.cleanup_tasks where id = $1 for no key update
