-- Which rows still keep the user's row from being removed.
select exists (select from users where id = $1) as "user!",
    exists (select from samples where user_id = $1) as "samples!",
    exists (select from collections where user_id = $1) as "collections!"
