-- One pass at a time in the whole fleet, and the next one no earlier than an interval after the last: the
-- process that changes the row has the lease. A pass whose process did not renew its lease in time is given up,
-- and is due again at once. Also says when to ask again.
with lease as (
    update lethe.cleanup_reconciliations
    set started_at = now(), claimed_by = $2, claimed_until = now() + make_interval(secs => $4),
        claim_token = claim_token + 1
    where source = $1
      and case when claimed_until is null then started_at is null or started_at <= now() - make_interval(secs => $3)
               else claimed_until <= now() end
    returning claim_token
)
select (select claim_token from lease) as claim_token,
    extract(epoch from greatest(now(), coalesce(claimed_until, started_at + make_interval(secs => $3))) - now())::float8
        as "due_in_seconds!"
from lethe.cleanup_reconciliations where source = $1
