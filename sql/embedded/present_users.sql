-- Which of these users exist, and which were erased: their tombstones keep them away.
select id as "id!", false as "is_erased!" from public.users where id = any ($1)
union all
select user_id, true from lethe.user_tombstones where user_id = any ($1)
