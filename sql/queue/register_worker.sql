-- A worker's row: a new id at each boot.
insert into lethe.cleanup_workers (id, expires_at) values ($1, now() + make_interval(secs => $2))
