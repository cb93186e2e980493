-- The receiver answered that it is gone.
select lethe.disable_notices($1)::text as done
