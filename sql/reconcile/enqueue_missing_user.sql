-- Enqueues the erasure of a user that Clerk no longer has, if nothing has changed here since.
select lethe.delete_user($1, 'reconcile:clerk') as task_id where lethe_map.is_live_user($1, $2)
