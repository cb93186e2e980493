-- Sample users.
insert into users (id, email) select * from unnest($1::text[], $2::text[])
