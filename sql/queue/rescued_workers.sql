-- Every task of these lost workers is rescued: a whole scan found no more.
update lethe.cleanup_workers set rescued_at = now() where id = any ($1) and rescued_at is null
