-- What went with the row is live again (the function says what).
select lethe_map.restore_entity($1, $2, $3)::text as restored
