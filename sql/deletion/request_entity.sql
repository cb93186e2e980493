-- The deletion itself is a function of the database, so that every way in is the same code.
select lethe.delete($1, $2, $3, make_interval(secs => $4)) as task_id
