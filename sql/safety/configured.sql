-- What the processes of each role were configured with when the last one of them started.
select role as "role!", erasure_limit_per_hour,
       (extract(epoch from user_erasure_delay) * 1000)::bigint as user_erasure_delay_ms,
       process as "process!", started_at as "started_at!: Timestamp"
from lethe.process_settings order by role
