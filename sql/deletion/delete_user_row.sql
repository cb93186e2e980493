-- The last row of an erasure. The tombstone stays.
delete from public.users where id = $1 and deleted_at is not null
