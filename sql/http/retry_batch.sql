-- One bounded step of a retry of all that match, ids ascending, with its audit. `last_id` is where the next
-- step begins; null at the end. What somebody else holds is passed over: it is being tried already.
with candidates as (
    (select id from cleanup_tasks
     where is_dead and ($1::text is null or $1 = 'dead')
       and ($2::text is null or entity_type = $2) and ($3::text is null or entity_id = $3)
       and ($4::text is null or user_id = $4) and ($5::text is null or error_class = $5) and id > $6
     order by id limit $7)
    union all
    (select id from cleanup_tasks
     where status = 'failed' and error_class is not null and finished_at is null and ($1::text is null or $1 = 'failed')
       and ($2::text is null or entity_type = $2) and ($3::text is null or entity_id = $3)
       and ($4::text is null or user_id = $4) and ($5::text is null or error_class = $5) and id > $6
     order by id limit $7)
), batch as (
    select id from candidates order by id limit $7
), held as (
    select id, error_class from cleanup_tasks
    where id in (select id from batch) and status in ('failed', 'dead')
    for no key update skip locked
), retried as (
    update cleanup_tasks t
    set status = 'pending', scheduled_at = clock_timestamp(), attempts = 0, updated_at = now()
    from held where t.id = held.id
    returning t.id, t.kind, t.entity_type, t.entity_id, t.user_id, held.error_class
), noted as (
    insert into cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id, error_class, detail)
    select 'task-retried', $8, id, kind, entity_type, entity_id, user_id, error_class, $9 from retried
    returning 1
)
select (select count(*) from noted) as "retried!", (select max(id) from batch) as last_id
