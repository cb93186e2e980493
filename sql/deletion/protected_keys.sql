-- Which of these keys ($1) of these entities ($2) must not be deleted (the function says why). It is a function,
-- because the query needs `row_security = off` without the round trips of a transaction.
select key as "key!" from lethe.protected_keys($1, $2) as p (key)
