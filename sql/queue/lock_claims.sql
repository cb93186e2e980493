-- The fence: of these claims, which are still ours? Locked one by one in the order given (by id), so that
-- settles cannot deadlock. `lease_owner` says "running" here: a condition on `status` would let the planner scan
-- an index of running tasks, which has a dead entry for each claim since the last vacuum.
select t.id as "id!: TaskId"
from unnest($1::bigint[], $2::bigint[]) as claim (id, token)
cross join lateral (
    select c.id from lethe.cleanup_tasks c
    where c.id = claim.id and c.lease_token = claim.token and c.lease_owner is not null
    for update
) t
