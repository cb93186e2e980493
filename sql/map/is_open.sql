-- Whether the erasure is still open.
select exists (select from lethe.cleanup_tasks t where t.id = $1) as "is_open!"
