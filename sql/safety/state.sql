-- Pause, limits, and how many erasures wait for a person.
select s.paused_at as "paused_at: Timestamp", s.paused_by, s.paused_reason,
       s.erasure_limit_per_hour as "erasure_limit_per_hour!",
       (extract(epoch from s.user_erasure_delay) * 1000)::bigint as "user_erasure_delay_ms!",
       (select count(*) from lethe.erasure_slots where used_at > now() - interval '1 hour') as "erased_within_hour!",
       (select count(*) from lethe.cleanup_tasks where held_reason is not null and kind = 'user-delete') as "erasures_held!"
from lethe.settings s
