-- Sample users.
insert into public.users (id, email) select * from unnest($1::text[], $2::text[])
