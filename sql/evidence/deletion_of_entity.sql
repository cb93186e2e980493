-- The task of the last deletion that was asked for of a row of type $3. Its owner is known from the request, which stays
-- when the row is gone; a null owner is an admin, who may see everybody's.
select task_id as "task_id!: TaskId" from lethe.cleanup_audit
where event in ('sample-deletion-requested', 'image-deletion-requested', 'entity-deletion-requested')
  and entity_id = $1 and entity_type = $3 and task_id is not null
  and ($2::text is null or user_id = $2)
order by task_id desc limit 1
