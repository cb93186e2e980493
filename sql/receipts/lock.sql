-- The lock of try_lock.sql, waited for.
select pg_advisory_xact_lock(1819567208, -2)
