-- The next attempt is in $4 seconds; null: there is none. Fenced by the number of attempts ($2).
update lethe.notices
set last_error = $3, next_try_at = clock_timestamp() + make_interval(secs => coalesce($4::float8, 0)),
    given_up_at = case when $4::float8 is null then clock_timestamp() end
where id = $1 and attempts = $2 and delivered_at is null and given_up_at is null
