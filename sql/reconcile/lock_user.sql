-- With $2: against every other deletion of this user, so that this transaction sees how that one ended. A user who has
-- no row is locked by an advisory lock. Without $2: the deletion of a user without a row either is visible to us or
-- waits for us.
select lethe.lock_user($1, $2)::text as locked,
       case when $2 then lethe_map.lock_user($1, true) end as has_row
