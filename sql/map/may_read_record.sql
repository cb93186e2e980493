-- Whether the record of migrations is there, and this role may read it.
select exists (
    select from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'lethe' and c.relname = '_sqlx_migrations'
      and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')) as "may_read!"
