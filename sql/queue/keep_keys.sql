-- A task that is not completed keeps only the keys that remain (none, for a task without pairs), so a retry is
-- always smaller.
update lethe.cleanup_tasks t
set object_keys = coalesce(r.keys, '{}')
from unnest($1::bigint[]) as touched (id)
left join (select task_id, array_agg(key) as keys
           from unnest($2::bigint[], $3::text[]) as pair (task_id, key)
           group by task_id) r on r.task_id = touched.id
where t.id = touched.id
