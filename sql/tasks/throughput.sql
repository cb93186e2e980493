-- How many tasks were completed lately. Finished tasks stand in the order of time, which their BRIN index follows.
select count(*) filter (where finished_at > now() - interval '1 minute') as "last_minute!",
       count(*) filter (where finished_at > now() - interval '5 minutes') as "last_five_minutes!",
       count(*) as "last_hour!"
from lethe.finished_tasks where finished_at > now() - interval '1 hour' and status = 'completed'
