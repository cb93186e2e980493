-- Waits for nobody: a user who is just being written to is looked at again later.
select id from users where id = $1 for update skip locked
