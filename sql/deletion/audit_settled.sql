-- What a settle did, one row a task. $4 says whether all of the task's own keys went: they need not cross
-- the wire again then; of the others, $7 and $8 are the pairs that went. $9, $10: pairs that were kept. Run
-- before the task forgets its keys.
insert into lethe.cleanup_audit (event, worker, task_id, kind, entity_type, entity_id, user_id, attempt,
    object_keys, kept_keys, image_ids, sample_ids, error_class, detail)
select s.event, $1, t.id, t.kind, t.entity_type, t.entity_id, t.user_id, t.attempts,
    case when s.whole then t.object_keys else coalesce(g.keys, '{}') end,
    coalesce(k.keys, '{}'), coalesce(i.ids, '{}'), coalesce(p.ids, '{}'), s.class, s.detail
from unnest($2::bigint[], $3::text[], $4::boolean[], $5::text[], $6::text[])
    as s (task_id, event, whole, class, detail)
join lethe.cleanup_tasks t on t.id = s.task_id
left join (select task_id, array_agg(key) as keys from unnest($7::bigint[], $8::text[]) as x (task_id, key)
           group by task_id) g on g.task_id = t.id
left join (select task_id, array_agg(key) as keys from unnest($9::bigint[], $10::text[]) as x (task_id, key)
           group by task_id) k on k.task_id = t.id
left join (select task_id, array_agg(id) as ids from unnest($11::bigint[], $12::uuid[]) as x (task_id, id)
           group by task_id) i on i.task_id = t.id
left join (select task_id, array_agg(id) as ids from unnest($13::bigint[], $14::uuid[]) as x (task_id, id)
           group by task_id) p on p.task_id = t.id
order by t.id
