-- What still stands in the way of the user's row.
select exists (select from users where id = $1) as "user!",
    exists (select from samples where user_id = $1) as "samples!",
    exists (select from collections where user_id = $1) as "collections!"
