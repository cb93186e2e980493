-- How many users lost a sample, an image or everything to reconciliation within the last $1 seconds, and since a person
-- last applied a pass by hand. Those of $2 are counted elsewhere.
select count(*) as "users!" from (
    select a.user_id from lethe.cleanup_audit a
    where a.event in ('user-deletion-requested', 'sample-deletion-requested', 'image-deletion-requested')
      and a.actor in ('reconcile', 'reconcile:clerk')
      and a.at > greatest(now() - make_interval(secs => $1), (select max(counted_from) from lethe.cleanup_reconciliations))
    except
    select unnest($2::text[])
) recent
