-- The tasks of a sample: each was asked for in the audit, or is open (written by an application's own SQL).
select task_id as "id!" from cleanup_audit
where event = 'sample-deletion-requested' and entity_id = $1 and task_id is not null
union
select id from cleanup_tasks where entity_id = $1 and kind = 'sample-delete' and finished_at is null
