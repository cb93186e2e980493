-- Whether this id ($1) does not match the map's pattern ($2).
select $1::text !~ $2::text as "is_refused!"
