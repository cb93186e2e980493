-- How the pass went. One that left something for lack of room is followed by the next at once; after one that
-- a person applied, the count of users who were taken begins anew.
update cleanup_reconciliations
set claimed_by = null, claimed_until = null, finished_at = now(), found = $3, enqueued = $4,
    stopped = $5, failed = $6, started_at = case when $7 then null else started_at end,
    counted_from = case when $8 then now() else counted_from end
where source = $1 and claim_token = $2
