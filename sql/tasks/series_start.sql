-- Where the first of $2 buckets of $1 seconds begins, of which the last contains the present time.
select date_bin(make_interval(secs => $1::int), now(), 'epoch'::timestamptz)
       - ($2::int - 1) * make_interval(secs => $1::int) as "starts_at!: Timestamp"
