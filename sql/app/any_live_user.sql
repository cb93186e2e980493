-- A live user to show in the banner's commands; another than the sample's owner where there is one.
select id from users where deleted_at is null order by id = $1, id limit 1
