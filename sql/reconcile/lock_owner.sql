-- Shared, so that the deletion of this user either is visible to us or waits for us.
select lethe_lock_user($1, false)::text as locked
