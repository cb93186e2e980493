-- Waits until nobody else holds the task, so that its status cannot change while a retry decides. A finished task
-- has nothing to lock.
with open as (
    select status from lethe.cleanup_tasks where id = $1 for no key update
)
select coalesce((select status from open), (select f.status from lethe.finished_tasks f where f.id = $1)) as "status: TaskStatus"
