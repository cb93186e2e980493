-- Finished tasks past their retention, in small batches. A part goes with its root or before it; a root
-- only after its parts.
with old as materialized (
    select t.id from lethe.cleanup_tasks t
    where t.finished_at < now() - make_interval(days => $1)
      and not exists (select from lethe.cleanup_tasks part where part.parent_id = t.id)
    order by t.finished_at limit $2
    for update skip locked
)
delete from lethe.cleanup_tasks t using old where t.id = old.id
