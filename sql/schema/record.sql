-- Whether sqlx's record of migrations is there, and whether this role may read it.
select c.oid is not null as "is_there!",
       coalesce(has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'), false) as "may_read!"
from (values ('lethe')) w (name)
left join pg_namespace n on n.nspname = w.name
left join pg_class c on c.relnamespace = n.oid and c.relname = '_sqlx_migrations'
