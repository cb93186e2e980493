-- Which of these keys must not be deleted (the function says why). It is a function, because the query needs
-- `row_security = off` without the round trips of a transaction.
select key as "key!" from lethe.protected_keys($1) as p (key)
