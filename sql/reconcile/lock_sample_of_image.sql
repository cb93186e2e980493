-- A statement of its own, so that the next one sees what another pass wrote for this image.
select s.id from public.samples s join public.sample_images i on i.sample_id = s.id
where i.id = $1::text::uuid for no key update of s
