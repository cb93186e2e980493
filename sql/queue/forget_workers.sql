-- Rows of workers that are long gone and hold nothing.
delete from cleanup_workers w
where w.expires_at < now() - interval '1 hour'
  and not exists (select from cleanup_tasks t where t.status = 'running' and t.lease_owner = w.id)
