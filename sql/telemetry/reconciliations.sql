-- Whether the last pass of each reconciliation was stopped, or failed, as every process shows it.
select source as "source!", (stopped is not null) as "stopped!", (failed is not null) as "failed!"
from cleanup_reconciliations
