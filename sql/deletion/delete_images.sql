-- Removes the image rows whose objects are gone (or kept because another image needs them), within the task's own
-- image, sample or user, and never a live image of a live sample. $1: tasks of which no key remains; $2, $3: pairs
-- of task and key for the others. Each step uses an index and starts from the rows of the step before: OFFSET 0
-- enforces that, whatever the statistics say. (A row that is updated at the same time stays.)
with settled as materialized (
    select t.id as task_id, t.kind, t.entity_id, t.user_id, k.key
    from lethe.cleanup_tasks t cross join lateral unnest(t.object_keys) as k (key)
    where t.id = any ($1)
    union all
    select t.id, t.kind, t.entity_id, t.user_id, p.key
    from unnest($2::bigint[], $3::text[]) as p (task_id, key)
    cross join lateral (select c.id, c.kind, c.entity_id, c.user_id
                        from lethe.cleanup_tasks c where c.id = p.task_id offset 0) t
), doomed as materialized (
    select i.ctid as place, d.task_id
    from settled d
    cross join lateral (select ctid, id, sample_id, deleted_at from public.sample_images
                        where object_key = d.key offset 0) i
    cross join lateral (select id, user_id, deleted_at from public.samples where id = i.sample_id offset 0) s
    where case d.kind
              when 'image-delete' then i.deleted_at is not null and i.id::text = d.entity_id
              when 'sample-delete' then s.deleted_at is not null and s.id::text = d.entity_id
              else s.deleted_at is not null and s.user_id = d.user_id
          end
)
delete from public.sample_images i using doomed d
where i.ctid = d.place
returning i.id as "id!", i.sample_id as "sample_id!", d.task_id as "task_id!"
