-- Soft-deleted images of live samples: no task takes these up before their sample is deleted. Counted
-- within the oldest so many, for people to know.
select count(*) as "images!"
from (select sample_id from sample_images where deleted_at is not null order by deleted_at, id limit $1) i
join samples s on s.id = i.sample_id and s.deleted_at is null
