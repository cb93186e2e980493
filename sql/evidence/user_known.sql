-- Whether there is a row of this user, or was one that an erasure removed.
select exists (select from public.users where id = $1)
    or exists (select from lethe.cleanup_audit where user_id = $1 and user_rows > 0) as "known!"
