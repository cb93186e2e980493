-- The row is locked since it was read.
update public.samples set deleted_at = null, deleted_by = null where id = $1
