-- Gives the leases of locked claims back. `attempts` is given back where the attempt was not the task's fault. A task
-- whose rows are slow or held goes to the bulk lane ($7), where it runs alone and small work does not wait for it.
update lethe.cleanup_tasks t
set status = s.status,
    attempts = greatest(t.attempts - s.given_back, 0),
    scheduled_at = case when s.status in ('pending', 'failed')
                        then clock_timestamp() + make_interval(secs => s.delay_seconds)
                        else t.scheduled_at end,
    last_error = coalesce(s.error, t.last_error),
    error_class = coalesce(s.class, t.error_class),
    lane = case when s.to_bulk then greatest(t.lane, 1) else t.lane end,
    lease_owner = null,
    updated_at = now()
from unnest($1::bigint[], $2::text[], $3::int[], $4::float8[], $5::text[], $6::text[], $7::boolean[])
    as s (id, status, given_back, delay_seconds, error, class, to_bulk)
where t.id = s.id
