-- A map that was just applied.
insert into lethe.maps (map, digest, script_digest, is_incomplete) values ($1, $2, $3, $4)
