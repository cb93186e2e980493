-- The next batch of users in the order of their ids, and of these the live ones to compare: 99, because with
-- the reference user they are the 100 ids that Clerk takes in one request. Users with a tombstone are found
-- without Clerk. Users younger than $2 may not be in Clerk's list yet.
select last_id, live as "live!", too_young as "too_young!" from lethe_map.live_users($1, $2, 99)
