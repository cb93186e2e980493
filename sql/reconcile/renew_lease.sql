-- A pass goes on only while the lease is its own.
update lethe.cleanup_reconciliations set claimed_until = now() + make_interval(secs => $3)
where source = $1 and claim_token = $2 and claimed_by is not null
