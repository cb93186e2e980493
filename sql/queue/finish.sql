-- Ends or reschedules locked claims. A status other than running gives the lease back; `attempts` is
-- given back where the attempt was not the task's fault.
update lethe.cleanup_tasks t
set status = s.status,
    object_keys = case when s.status = 'completed' then '{}' else t.object_keys end,
    attempts = greatest(t.attempts - s.given_back, 0),
    scheduled_at = case when s.status in ('pending', 'failed')
                        then clock_timestamp() + make_interval(secs => s.delay_seconds)
                        else t.scheduled_at end,
    last_error = case when s.status = 'completed' then null else coalesce(s.error, t.last_error) end,
    error_class = case when s.status = 'completed' then null else coalesce(s.class, t.error_class) end,
    lease_owner = null,
    updated_at = now(),
    finished_at = case when s.status = 'completed' then now() end
from unnest($1::bigint[], $2::text[], $3::int[], $4::float8[], $5::text[], $6::text[])
    as s (id, status, given_back, delay_seconds, error, class)
where t.id = s.id
