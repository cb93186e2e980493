-- How many users there are, counted no further than the question needs.
select count(*) as "users!" from (select from public.users limit $1) u
