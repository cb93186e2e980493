-- Ends the pause, and releases the next held erasures.
select lethe.resume($1, $2, $3) as "released!"
