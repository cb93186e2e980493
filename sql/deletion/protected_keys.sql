-- Of these keys, which does a live image of a live sample name? They are kept.
select k.key as "key!"
from unnest($1::text[]) as k (key)
where exists (select from sample_images i join samples s on s.id = i.sample_id
              where i.object_key = k.key and i.deleted_at is null and s.deleted_at is null)
