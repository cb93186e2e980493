-- Takes tasks from a lost worker: a failed attempt. What crashes twice in a row goes to quarantine
-- (lane 2), where it runs alone; what crashes to the last attempt is dead.
update cleanup_tasks t
set status = case when r.dead then 'dead' else 'failed' end,
    lane = case when r.quarantine then 2 else t.lane end,
    error_class = 'crash', last_error = 'its worker ' || t.lease_owner || ' vanished',
    scheduled_at = clock_timestamp() + make_interval(secs => r.delay_seconds),
    lease_owner = null, updated_at = now()
from unnest($1::bigint[], $2::boolean[], $3::boolean[], $4::float8[]) as r (id, dead, quarantine, delay_seconds)
where t.id = r.id
