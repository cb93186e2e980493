-- What a retry would find, held until it is decided.
select status from cleanup_tasks where id = $1 for no key update
