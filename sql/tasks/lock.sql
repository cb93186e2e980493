-- Waits for whoever holds the task, so that its status is settled when a retry looks at it.
select status as "status: TaskStatus" from cleanup_tasks where id = $1 for no key update
