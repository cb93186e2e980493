-- A live sample to try a deletion with, preferably a seeded one.
(select id, user_id from public.samples where user_id = 'user_seed_1' and deleted_at is null order by name, id limit 1)
union all
(select id, user_id from public.samples where deleted_at is null limit 1)
limit 1
