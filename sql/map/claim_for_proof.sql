-- The next task of an erasure, parts first, as if a worker had claimed it. A root that waits for dead parts is none.
update lethe.cleanup_tasks t
set status = 'running', lease_owner = 'prove', lease_token = t.lease_token + 1, held_reason = null
where t.id = (select c.id from lethe.cleanup_tasks c
              where (c.parent_id = $1 or c.id = $1)
                and not exists (select from unnest(c.object_keys) k (key) where k.key like 'outside:%')
              order by c.id = $1, c.id limit 1)
returning t.id as "id!", coalesce(t.phase <> 'rows', false) as "is_step!"
