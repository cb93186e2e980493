-- Makes those of the given tasks due now that failed or are dead, with an entry in the audit for each. The lane
-- stays, so that quarantined work is still taken one at a time. Tasks that somebody
-- else holds are passed over: a worker is trying them already.
with held as (
    select id, error_class from lethe.cleanup_tasks
    where id = any ($1) and status in ('failed', 'dead')
    order by id for no key update skip locked
), retried as (
    update lethe.cleanup_tasks t
    set status = 'pending', scheduled_at = clock_timestamp(), attempts = 0, updated_at = now()
    from held where t.id = held.id
    returning t.id, t.kind, t.entity_type, t.entity_id, t.user_id, held.error_class
)
insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id, error_class, detail)
select 'task-retried', $2, id, kind, entity_type, entity_id, user_id, error_class, $3 from retried order by id
