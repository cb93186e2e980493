-- A live sample to show in the banner's commands.
select id, user_id from samples where deleted_at is null order by user_id, id limit 1
