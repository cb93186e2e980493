-- How the last passes went.
select source as "source!", finished_at, stopped, failed from cleanup_reconciliations order by source desc
