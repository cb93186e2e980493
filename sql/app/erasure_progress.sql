-- How far the open erasures are, for the progress line.
with open as materialized (
    select user_id from cleanup_tasks where kind = 'user-delete' and status in ('pending', 'running', 'failed')
)
select (select count(*) from open) as "erasures!",
    coalesce((select sum(a.objects_deleted) from cleanup_audit a join open using (user_id)), 0)::bigint as "deleted!",
    coalesce((select sum(cardinality(t.object_keys)) from cleanup_tasks t join open using (user_id)), 0)::bigint as "remaining!"
