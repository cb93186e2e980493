-- The tasks of a row whose id is one of these: each was asked for in the audit, or is open (written by the application's
-- own SQL).
select task_id as "id!" from lethe.cleanup_audit
where event in ('sample-deletion-requested', 'image-deletion-requested', 'entity-deletion-requested')
  and entity_id = any ($1) and task_id is not null
union
select id from lethe.cleanup_tasks
where entity_id = any ($1) and kind in ('sample-delete', 'image-delete', 'entity-delete')
