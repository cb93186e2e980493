-- Stores how the pass went. If it left work ($7), the next pass is due at once. If a person applied it ($8),
-- the safety limit counts users from now on.
update lethe.cleanup_reconciliations
set claimed_by = null, claimed_until = null, finished_at = now(), found = $3, enqueued = $4,
    stopped = $5, failed = $6, started_at = case when $7 then null else started_at end,
    counted_from = case when $8 then now() else counted_from end
where source = $1 and claim_token = $2
