-- The next step of an erasure (the function says how).
select result as "result!", error, other_rows from lethe_map.step_erasure($1, $2, $3)
