-- What of an erasure waits for a person, and why.
select id, error_class, last_error from cleanup_tasks
where user_id = $1 and is_dead
order by id limit $2
