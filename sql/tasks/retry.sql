-- Makes those of the given tasks due now that failed or are dead, with an entry in the audit for each. The lane
-- stays, so that quarantined work is still taken one at a time. Tasks that somebody
-- else holds are passed over: a worker is trying them already. The keys are read again from the rows that the task
-- names: a person may have corrected one. A row that is gone cannot say its key, so then the old keys are kept too. A key
-- that another column allows, or allowed when the task was made, is allowed.
with held as (
    select id, error_class, user_id, row_type, row_ids, object_keys from lethe.cleanup_tasks
    where id = any ($1) and status in ('failed', 'dead')
    order by id for no key update skip locked
), named as (
    select h.id, h.error_class, h.object_keys,
           case when r.keys is not null then array(
               select distinct k.key from unnest(lethe_map.unmarked(r.keys, r.keys || h.object_keys)) k (key)) end as keys,
           r.is_whole
    from held h cross join lateral lethe_map.read_keys(h.user_id, h.row_type, h.row_ids) r
), retried as (
    update lethe.cleanup_tasks t
    set status = 'pending', scheduled_at = clock_timestamp(), attempts = 0, updated_at = now(),
        object_keys = case when n.keys is null then n.object_keys when n.is_whole then n.keys
                           else array(select unnest(n.keys) union select unnest(n.object_keys)) end
    from named n where t.id = n.id
    returning t.id, t.kind, t.entity_type, t.entity_id, t.user_id, n.error_class
)
insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id, error_class, detail)
select 'task-retried', $2, id, kind, entity_type, entity_id, user_id, error_class, $3 from retried order by id
