-- Whose sample it is, before anything is locked: the owner's lock comes first.
select user_id from public.samples where id = $1
