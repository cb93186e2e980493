-- Enqueues the erasure of a user if it is still needed. The row is checked again after it was locked, because its
-- deletion may have begun, ended or been taken back since it was found.
select lethe.delete_user($1, 'reconcile') as task_id
where (lethe_map.user_deleted_at($1) <= now()
       or (exists (select from lethe.user_tombstones b where b.user_id = $1) and lethe_map.has_rows($1)))
  and not exists (
      select from lethe.cleanup_tasks t
      where t.entity_id = $1 and t.kind = 'user-delete')
