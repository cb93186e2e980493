-- Receipts are sealed by one transaction at a time. The lock ends with the transaction; who does not get it lets the
-- other one seal.
select pg_try_advisory_xact_lock(1819567208, -2) as "is_locked!"
