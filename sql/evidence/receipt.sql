-- The receipt of an erasure, in one snapshot: the request, what was removed, and what is left.
select b.deleted_at as "requested_at: Timestamp", b.deleted_by as requested_by,
       a.completed_at as "completed_at?: Timestamp", a.objects_deleted as "objects_deleted!", a.objects_kept as "objects_kept!",
       a.users as "users!", a.collections as "collections!", a.samples as "samples!", a.images as "images!",
       t.tasks as "tasks!", t.objects as "objects!",
       exists (select from public.users u where u.id = b.user_id)
           or exists (select from public.samples s where s.user_id = b.user_id)
           or exists (select from public.collections c where c.user_id = b.user_id) as "rows_left!"
from lethe.user_tombstones b
cross join lateral (
    select max(at) filter (where event = 'user-erased') as completed_at,
           coalesce(sum(objects_deleted), 0)::bigint as objects_deleted,
           coalesce(sum(objects_kept), 0)::bigint as objects_kept,
           coalesce(sum(user_rows), 0)::bigint as users,
           coalesce(sum(collections_deleted), 0)::bigint as collections,
           coalesce(sum(samples_deleted), 0)::bigint as samples,
           coalesce(sum(images_deleted), 0)::bigint as images
    from lethe.cleanup_audit where user_id = b.user_id
) a
cross join lateral (
    select count(*) as tasks, coalesce(sum(cardinality(object_keys)), 0)::bigint as objects
    from lethe.cleanup_tasks where user_id = b.user_id and finished_at is null
) t
where b.user_id = $1
