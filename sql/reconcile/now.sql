-- The database's clock decides which users are old enough to be compared.
select clock_timestamp() - make_interval(secs => $1) as "at!"
