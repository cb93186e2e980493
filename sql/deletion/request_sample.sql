-- The deletion itself is a function of the database, so that every way in is the same code.
select lethe.delete_sample($1, $2, make_interval(secs => $3)) as task_id
