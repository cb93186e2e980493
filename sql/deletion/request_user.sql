-- The erasure itself is a function of the database, so that every way in is the same code. Null if the erasure map refuses
-- this id: it does not match `ids`, or is one of `never`.
select case when lethe_map.refusal($1) is null then lethe.delete_user($1, $2, $3) end as task_id
