-- Erases a user again who was erased under an earlier map. Null if the map does not allow it.
select lethe.sweep_user($1, $2) as task_id
