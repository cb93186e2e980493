-- A bite of users in order of id, and of these the live ones to compare; with the one that vouches for the
-- answer they are the 100 that Clerk takes at once. Who has a tombstone is found without Clerk; who is
-- younger than the comparison may not be known to Clerk's list yet.
with bite as materialized (
    select u.id, u.deleted_at, u.created_at from users u where u.id > $1 order by u.id limit 99
)
select max(b.id) as last_id,
       coalesce(array_agg(b.id order by b.id) filter (where
           b.deleted_at is null and b.created_at < $2
           and not exists (select from user_tombstones t where t.user_id = b.id)), '{}') as "live!",
       count(*) filter (where b.deleted_at is null and b.created_at >= $2) as "too_young!"
from bite b
