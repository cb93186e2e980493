-- Whether claiming is paused, and how many erasures wait for a person. Each process asks every few seconds.
select s.paused_at as "paused_at: Timestamp", s.paused_by, s.paused_reason,
       (select count(*) from lethe.cleanup_tasks where held_reason is not null and kind = 'user-delete') as "held!",
       coalesce((select m.is_incomplete from lethe.maps m order by m.id desc limit 1), false) as "is_map_incomplete!"
from lethe.settings s
