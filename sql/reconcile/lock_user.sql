-- With $2: against every other deletion of this user, so that this transaction sees how that one ended.
-- Without: the deletion of this user either is visible to us or waits for us.
select lethe.lock_user($1, $2)::text as locked
