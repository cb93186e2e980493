-- The dead tasks of an erasure, which wait for a person.
select id as "id: TaskId", error_class as "error_class: ErrorClass", last_error from lethe.cleanup_tasks
where user_id = $1 and is_dead
order by id limit $2
