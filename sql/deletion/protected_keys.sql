-- Which of these keys ($1) of these entities ($2) must not be deleted (the function says why). It is a function,
-- because the query needs `row_security = off` without the round trips of a transaction. A null says that the keys are
-- references, which may name a bucket.
select p.key from lethe_map.protected_keys($1, $2) as p (key)
union all
select null where lethe_map.buckets() is not null
