-- Does not wait: if another transaction holds the user, the next step tries again.
select id from public.users where id = $1 for update skip locked
