-- A statement of its own, so that the next one sees what another pass wrote for this sample.
select id from public.samples where id = $1::text::uuid for no key update
