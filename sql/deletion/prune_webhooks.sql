-- Svix retries for about 28 hours; its ids are kept as long as finished tasks, and a week at least.
delete from lethe.webhook_events
where svix_id = any (array(
    select svix_id from lethe.webhook_events
    where received_at < now() - make_interval(days => greatest($1, 7)) order by received_at limit $2))
