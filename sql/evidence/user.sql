-- What is known of a user, and how many rows are theirs, deleted or not.
select exists (select from public.users where id = $1) as "has_row!",
       (select deleted_at from public.users where id = $1) as "deleted_at: Timestamp",
       (select deleted_at from lethe.user_tombstones where user_id = $1) as "requested_at: Timestamp",
       (select deleted_by from lethe.user_tombstones where user_id = $1) as "requested_by",
       (select count(*) from public.collections where user_id = $1) as "collections!",
       (select count(*) from public.samples where user_id = $1) as "samples!",
       (select count(*) from public.samples s join public.sample_images i on i.sample_id = s.id
        where s.user_id = $1) as "sample_images!",
       (select count(*) from lethe.cleanup_tasks where user_id = $1) as "open_tasks!"
