-- Where the notices go from now on.
select lethe.configure_notices($1)::text as done
