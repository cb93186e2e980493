-- Which of the schemas of Lethe ($1) and of these tables ($2) this role may not use. Without that right nothing in them can
-- be asked for by its name. A schema that does not exist is left out.
select distinct 'usage on schema ' || quote_ident(n.nspname) as "missing!"
from pg_namespace n
where n.nspname in (select s from unnest($1::text[]) s
                    union all select (parse_ident(t))[1] from unnest($2::text[]) t)
  and not has_schema_privilege(n.oid, 'usage')
order by 1
