-- Lost workers whose tasks nobody has taken up to the last.
select id from cleanup_workers where lost_at is not null and rescued_at is null
