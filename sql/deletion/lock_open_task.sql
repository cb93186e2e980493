-- A restore races with a claim for this row: the one that locks it first decides. A task that has become a part of
-- its user's erasure cannot be taken back.
select id, status = 'pending' and lease_token = 0 and parent_id is null as "untouched!",
       (select a.actor from lethe.cleanup_audit a
        where a.task_id = cleanup_tasks.id and a.actor is not null order by a.id limit 1) as asked_by
from lethe.cleanup_tasks
where entity_id = $1 and entity_type = $2 and kind <> 'user-delete-part'
for update
