-- The next batch of users in the order of their ids, and of these the live ones to compare: 99, because with
-- the reference user they are the 100 ids that Clerk takes in one request. Users with a tombstone are found
-- without Clerk, and those that the erasure map does not allow to be erased are not compared. Users younger than $2 may
-- not be in Clerk's list yet.
select last_id, cardinality(live) as "live!",
       array(select u.id from unnest(live) u (id) where lethe_map.refusal(u.id) is null) as "erasable!", too_young as "too_young!" from lethe_map.live_users($1, $2, 99)
