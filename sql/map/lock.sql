-- One run at a time. The lock belongs to the session.
select pg_advisory_lock(1819567208, -3)::text as locked
