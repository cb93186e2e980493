-- One collection for each sample user.
insert into public.collections (id, user_id, name)
select id, user_id, 'Seeded' from unnest($1::uuid[], $2::text[]) as t (id, user_id)
