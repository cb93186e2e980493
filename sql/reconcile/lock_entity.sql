-- A statement of its own, so that the next one sees what another pass wrote for this row.
select id from lethe_map.entity($1, $2)
