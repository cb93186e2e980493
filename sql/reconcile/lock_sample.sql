-- Held first, so that the next statement sees what another pass wrote for this sample.
select id from samples where id = $1 for no key update
