-- How many tasks were completed lately, from the index of finished tasks.
select count(*) filter (where finished_at > now() - interval '1 minute') as "last_minute!",
       count(*) filter (where finished_at > now() - interval '5 minutes') as "last_five_minutes!",
       count(*) as "last_hour!"
from lethe.cleanup_tasks where finished_at > now() - interval '1 hour' and status = 'completed'
