-- Images of the samples; their objects are in the store already.
insert into public.sample_images (id, sample_id, object_key)
select * from unnest($1::uuid[], $2::uuid[], $3::text[])
