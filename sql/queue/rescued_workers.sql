-- Every task of these lost workers is taken up: a whole pass found no more.
update cleanup_workers set rescued_at = now() where id = any ($1) and rescued_at is null
