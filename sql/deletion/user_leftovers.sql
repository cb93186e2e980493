-- Which rows still keep the user's row from being removed.
select exists (select from public.users where id = $1) as "user!",
    exists (select from public.samples where user_id = $1) as "samples!",
    exists (select from public.collections where user_id = $1) as "collections!"
