-- A restore races with a claim for this row: whoever locks it first decides.
select id, status = 'pending' and lease_token = 0 as "untouched!"
from cleanup_tasks
where entity_id = $1 and kind = 'sample-delete' and finished_at is null
for update
