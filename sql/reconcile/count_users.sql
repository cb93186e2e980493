-- How many users there are, counted no further than the question needs.
select count(*) as "users!" from lethe_map.user_ids('', least($1::bigint, 2147483647)::int)
