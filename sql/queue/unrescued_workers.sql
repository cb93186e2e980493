-- Lost workers that may still hold tasks.
select id from lethe.cleanup_workers where lost_at is not null and rescued_at is null
