-- The rights that this role lacks: on the tables $1, each with the right at the same place of $2, and to execute the
-- functions $3, and to use the schema of the map's functions. What does not exist is left out, because no right on it can be granted.
select p.privilege || ' on ' || p.name as "missing!"
from unnest($1::text[], $2::text[]) p (name, privilege)
where not has_table_privilege(to_regclass(p.name), p.privilege)
union all
select 'execute on ' || f.name
from unnest($3::text[]) f (name)
where not has_function_privilege(to_regprocedure(f.name), 'execute')
union all
select 'usage on schema lethe_map'
where not coalesce(has_schema_privilege(to_regnamespace('lethe_map')::oid, 'usage'), true)
