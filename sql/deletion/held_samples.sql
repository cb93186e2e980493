-- Of the samples that could not be locked, those that still exist: another transaction holds them.
select id from public.samples where id = any ($1) and deleted_at is not null
