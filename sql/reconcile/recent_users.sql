-- How many users' erasure reconciliation enqueued within the last $1 seconds, and since a person last applied
-- a pass by hand.
select count(*) as "users!" from lethe.cleanup_audit
where event = 'user-deletion-requested' and actor in ('reconcile', 'reconcile:clerk')
  and at > greatest(now() - make_interval(secs => $1), (select max(counted_from) from lethe.cleanup_reconciliations))
