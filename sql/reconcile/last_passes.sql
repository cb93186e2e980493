-- How the last pass of each source went.
select source as "source!", finished_at, stopped, failed from lethe.cleanup_reconciliations order by source desc
