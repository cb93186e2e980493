-- Whether the last pass of each reconciliation was stopped by its limit, or failed.
select source as "source!", (stopped is not null) as "stopped!", (failed is not null) as "failed!"
from lethe.cleanup_reconciliations
