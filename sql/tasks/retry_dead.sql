-- One bite of a retry of all dead tasks, with its audit: the ids of this bite, ascending, after $1.
with held as (
    select id, error_class from cleanup_tasks
    where is_dead and id > $1
    order by id limit $4
    for no key update skip locked
), retried as (
    update cleanup_tasks t
    set status = 'pending', scheduled_at = clock_timestamp(), attempts = 0, updated_at = now()
    from held where t.id = held.id
    returning t.id, t.kind, t.entity_type, t.entity_id, t.user_id, held.error_class
)
insert into cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id, error_class, detail)
select 'task-retried', $2, id, kind, entity_type, entity_id, user_id, error_class, $3 from retried order by id
returning task_id as "task_id!"
