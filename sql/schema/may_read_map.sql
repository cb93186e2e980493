-- Whether this role may read which map is applied, and use its functions.
select exists (
    select from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'lethe' and c.relname = 'maps'
      and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
      and has_schema_privilege((select m.oid from pg_namespace m where m.nspname = 'lethe_map'), 'usage')) as "may_read!"
