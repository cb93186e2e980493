-- The progress of the erasures of these users. What is left is counted in rows, which are removed after their objects.
-- An erasure whose only open task is its root, beside a dead one, waits for a person.
select t.user_id,
       exists (select from lethe.cleanup_tasks c
               where c.user_id = t.user_id and c.kind in ('user-delete', 'user-delete-part')
                 and c.status in ('pending', 'running', 'failed')) as "open!",
       not exists (select from lethe.cleanup_tasks c
                   where c.user_id = t.user_id and c.kind <> 'user-delete'
                     and c.status in ('pending', 'running', 'failed')) as "only_root_is_open!",
       (select count(*) from lethe.cleanup_tasks c where c.user_id = t.user_id and c.status = 'dead') as "dead!",
       coalesce((select sum(cardinality(a.object_keys)) from lethe.audit a
                 where a.user_id = t.user_id and a.at >= t.deleted_at), 0)::bigint as "deleted!",
       (select count(*) from public.samples s join public.sample_images i on i.sample_id = s.id
        where s.user_id = t.user_id) as "remaining!",
       extract(epoch from coalesce(
           (select max(a.at) from lethe.audit a where a.user_id = t.user_id and a.event = 'user-erased'),
           clock_timestamp()) - t.deleted_at)::float8 as "seconds!"
from lethe.user_tombstones t
where t.user_id = any($1)
