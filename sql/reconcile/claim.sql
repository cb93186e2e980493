-- One pass at a time in the whole fleet, and the next no earlier than its interval: whoever changes the row
-- has the turn. A pass that has not renewed its claim in time is given up. Says when to ask again, too.
with turn as (
    update cleanup_reconciliations
    set started_at = now(), claimed_by = $2, claimed_until = now() + make_interval(secs => $4),
        claim_token = claim_token + 1
    where source = $1
      and (started_at is null or started_at <= now() - make_interval(secs => $3))
      and (claimed_until is null or claimed_until <= now())
    returning claim_token
)
select (select claim_token from turn) as claim_token,
    extract(epoch from greatest(now(), claimed_until, started_at + make_interval(secs => $3)) - now())::float8
        as "due_in_seconds!"
from cleanup_reconciliations where source = $1
