-- The database's clock, by which erasures are dated.
select clock_timestamp() as "now!: Timestamp"
