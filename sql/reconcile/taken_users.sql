-- How many users reconciliation has asked the erasure of within the last so many seconds, and since a person
-- last applied it by hand.
select count(*) as "users!" from cleanup_audit
where event = 'user-deletion-requested' and actor in ('reconcile', 'reconcile:clerk')
  and at > greatest(now() - make_interval(secs => $1), (select max(counted_from) from cleanup_reconciliations))
