-- The receiver has it. Whoever delivered it, it is not delivered again.
update lethe.notices set delivered_at = clock_timestamp(), given_up_at = null, last_error = null
where id = $1 and delivered_at is null
