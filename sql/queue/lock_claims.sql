-- The fence: of these claims, which are still ours? Locked in id order, so that settles cannot deadlock.
select t.id
from unnest($1::bigint[], $2::bigint[]) as claim (id, token)
join cleanup_tasks t on t.id = claim.id and t.lease_token = claim.token and t.status = 'running'
order by t.id
for update of t
