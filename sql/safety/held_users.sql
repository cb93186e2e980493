-- The next held erasures, by the ids of their root tasks from $1 (exclusive) on, at most $2.
select id as "id!: TaskId", user_id as "user_id!: UserId" from lethe.cleanup_tasks
where held_reason is not null and kind = 'user-delete' and id > $1
order by id limit $2
