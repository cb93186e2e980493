-- Gives the tasks of a lost worker back to the queue. If it deregistered itself, the attempt is given back;
-- otherwise it is a failed one. A task that crashes twice in a row goes to quarantine (lane 2), where it runs
-- alone; one that crashes at its last attempt is dead.
update lethe.cleanup_tasks t
set status = case when r.given_back then 'pending' when r.dead then 'dead' else 'failed' end,
    attempts = greatest(t.attempts - case when r.given_back then 1 else 0 end, 0),
    lane = case when r.quarantine then 2 else t.lane end,
    error_class = case when r.given_back then t.error_class else 'crash' end,
    last_error = case when r.given_back then t.last_error else 'its worker ' || t.lease_owner || ' vanished' end,
    scheduled_at = clock_timestamp() + make_interval(secs => r.delay_seconds),
    lease_owner = null, updated_at = now()
from unnest($1::bigint[], $2::boolean[], $3::boolean[], $4::boolean[], $5::float8[])
    as r (id, given_back, dead, quarantine, delay_seconds)
where t.id = r.id
