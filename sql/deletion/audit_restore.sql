-- Who restored what, in the transaction of the restore.
insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id)
values ('sample-restored', $1, $2, 'sample-delete', 'sample', $3, $4)
