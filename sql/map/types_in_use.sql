-- The types that open tasks name, and that are none of $1. A user's erasure needs no type of a table.
select distinct t.of_type as "of_type!" from lethe.cleanup_tasks c
cross join lateral (values (c.entity_type), (c.row_type)) t (of_type)
where t.of_type <> 'user' and t.of_type <> all ($1)
order by 1
