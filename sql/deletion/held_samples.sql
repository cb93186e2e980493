-- Of the samples that could not be locked, which are still there to be deleted? Somebody holds them.
select id from samples where id = any ($1) and deleted_at is not null
