-- What an attempt did to tasks that are not finished, one entry a task. $6, $7: the keys that went, each with its
-- task; $8, $9: the keys that stayed; $10, $11: the rows that went.
insert into lethe.cleanup_audit (event, worker, task_id, kind, entity_type, entity_id, user_id, attempt,
    object_keys, kept_keys, rows_removed, error_class, detail)
select s.event, $1, t.id, t.kind, t.entity_type, t.entity_id, t.user_id, t.attempts,
    coalesce(g.keys, '{}'), coalesce(k.keys, '{}'), r.rows, s.class, s.detail
from unnest($2::bigint[], $3::text[], $4::text[], $5::text[])
    as s (task_id, event, class, detail)
join lethe.cleanup_tasks t on t.id = s.task_id
left join (select task_id, array_agg(key) as keys from unnest($6::bigint[], $7::text[]) as x (task_id, key)
           group by task_id) g on g.task_id = t.id
left join (select task_id, array_agg(key) as keys from unnest($8::bigint[], $9::text[]) as x (task_id, key)
           group by task_id) k on k.task_id = t.id
left join (select x.task_id, jsonb_build_object(min(o.row_type), jsonb_agg(x.id)) as rows
           from unnest($10::bigint[], $11::text[]) as x (task_id, id)
           join lethe.cleanup_tasks o on o.id = x.task_id group by x.task_id) r on r.task_id = t.id
order by t.id
