-- Removes the image rows whose objects are gone (or kept for a live image): a task's keys less the ones
-- that remain, within the task's own sample or user, and never a live image of a live sample.
with gone as materialized (
    select t.id as task_id, t.kind, t.entity_id, t.user_id, k.key
    from cleanup_tasks t cross join lateral unnest(t.object_keys) as k (key)
    where t.id = any ($1)
      and not exists (select from unnest($2::bigint[], $3::text[]) as r (task_id, key)
                      where r.task_id = t.id and r.key = k.key)
), doomed as materialized (
    select i.id, g.task_id
    from gone g
    join sample_images i on i.object_key = g.key
    join samples s on s.id = i.sample_id
    where s.deleted_at is not null
      and case g.kind when 'sample-delete' then s.id::text = g.entity_id else s.user_id = g.user_id end
)
delete from sample_images i using doomed d
where i.id = d.id
returning i.id as "id!", i.sample_id as "sample_id!", d.task_id as "task_id!"
