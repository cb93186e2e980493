-- Against every other deletion of this user: what follows in this transaction sees how that one ended.
select lethe_lock_user($1, true)::text as locked
