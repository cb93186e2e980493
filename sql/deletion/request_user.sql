-- The erasure itself is a function of the database, so that every way in is the same code.
select lethe.delete_user($1, $2) as "task_id!"
