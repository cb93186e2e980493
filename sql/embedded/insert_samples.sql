-- Samples of the sample users.
insert into public.samples (id, user_id, collection_id, name)
select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[])
