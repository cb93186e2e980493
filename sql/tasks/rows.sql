-- The rows that an open task names.
select t.row_type as "row_type!", r.id as "id!: EntityId"
from lethe.cleanup_tasks t cross join lateral unnest(t.row_ids) as r (id)
where t.id = $1
