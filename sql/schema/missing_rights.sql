-- The rights that this role lacks: on the tables $1, each with the right at the same place of $2 and, if $3 names one there,
-- on this column alone; and to execute the functions $4. What does not exist is left out, because no right on it can be
-- granted.
select p.privilege || case when p.column_name <> '' then ' (' || quote_ident(p.column_name) || ')' else '' end
       || ' on ' || p.name as "missing!"
from unnest($1::text[], $2::text[], $3::text[]) p (name, privilege, column_name)
where case when p.column_name = '' then not has_table_privilege(to_regclass(p.name), p.privilege)
           else exists (select from pg_attribute a
                        where a.attrelid = to_regclass(p.name) and a.attname = p.column_name and not a.attisdropped
                          and not has_column_privilege(a.attrelid, a.attnum, p.privilege)) end
union all
select 'execute on ' || f.name
from unnest($4::text[]) f (name)
where not has_function_privilege(to_regprocedure(f.name), 'execute')
