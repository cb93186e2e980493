-- Soft-deleted images of live samples that no task takes up, with their users, among the oldest $1 that are
-- soft-deleted: an erasure under way has any number of others, and the next passes see further.
with oldest as materialized (
    select id, sample_id, deleted_at from sample_images
    where deleted_at is not null and deleted_at <= now()
    order by deleted_at, id limit $1
), lone as materialized (
    select o.id, o.deleted_at, s.user_id
    from oldest o
    cross join lateral (select user_id, deleted_at from samples where id = o.sample_id offset 0) s
    where s.deleted_at is null
)
select l.id as "id!", l.user_id as "user_id!"
from lone l
where (select t.id from cleanup_tasks t
       where t.entity_id = l.id::text and t.kind = 'image-delete' and t.finished_at is null limit 1) is null
  and (select t.id from cleanup_tasks t
       where t.entity_id = l.user_id and t.kind = 'user-delete' and t.finished_at is null limit 1) is null
order by l.deleted_at, l.id
