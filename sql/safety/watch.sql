-- Whether claiming is paused, and how many erasures wait for a person. Each process asks every few seconds.
select s.paused_at as "paused_at: Timestamp", s.paused_by, s.paused_reason,
       (select count(*) from lethe.cleanup_tasks where held_reason is not null and kind = 'user-delete') as "held!",
       lethe.is_map_incomplete(now()) as "is_map_incomplete!"
from lethe.settings s
