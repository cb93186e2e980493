-- A worker that stops in order leaves no row, unless it still holds a task.
delete from cleanup_workers w
where w.id = $1
  and not exists (select from cleanup_tasks t where t.status = 'running' and t.lease_owner = w.id)
