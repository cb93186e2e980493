-- Whether this is a standby, and whether transactions are read-only by default.
select pg_is_in_recovery() as "is_standby!", (current_setting('transaction_read_only') = 'on') as "is_read_only!"
