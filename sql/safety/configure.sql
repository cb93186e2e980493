-- Records what this process was configured with; the stricter value of the two roles holds from now on.
select lethe.configure($1, $2, make_interval(secs => $3), $4)::text as done
