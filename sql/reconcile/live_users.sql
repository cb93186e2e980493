-- The next batch of users in the order of their ids, and of these the live ones to compare: 99, because with
-- the reference user they are the 100 ids that Clerk takes in one request. Users with a tombstone are found
-- without Clerk. Users younger than $2 may not be in Clerk's list yet.
with batch as materialized (
    select u.id, u.deleted_at, u.created_at from public.users u where u.id > $1 order by u.id limit 99
)
select max(b.id) as last_id,
       coalesce(array_agg(b.id order by b.id) filter (where
           b.deleted_at is null and b.created_at < $2
           and not exists (select from lethe.user_tombstones t where t.user_id = b.id)), '{}') as "live!",
       count(*) filter (where b.deleted_at is null and b.created_at >= $2) as "too_young!"
from batch b
