-- Who restored what, in the transaction of the restore.
insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id)
select $1, $2, t.id, t.kind, t.entity_type, t.entity_id, t.user_id from lethe.cleanup_tasks t where t.id = $3
