-- Images that a sample's task does not know yet: they came after it was written, or it was too large.
select i.id as "id!", i.sample_id as "sample_id!", i.object_key as "object_key!"
from unnest($1::uuid[]) as s (id)
cross join lateral (select id, sample_id, object_key from public.sample_images
                    where sample_id = s.id order by id limit $2) i
order by i.sample_id, i.id
limit $3
