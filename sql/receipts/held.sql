-- How many of the erasures $1 wait because of the limit.
select count(*) as "count!" from lethe.cleanup_tasks where id = any ($1) and held_reason is not null
