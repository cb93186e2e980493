-- A shared lock: the deletion of this user has either committed, and is visible, or waits for this transaction.
select lethe.lock_user($1, false)::text as locked
