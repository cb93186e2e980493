-- Stops all claiming.
select lethe.pause($1, $2)::text as done
