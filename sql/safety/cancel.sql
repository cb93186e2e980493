-- Takes an erasure back, if no task of it was ever claimed.
select lethe.cancel_erasure($1, $2, $3) as "result!"
