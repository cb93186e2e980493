-- Tables in the schemas of Lethe that are none of these ($1, of schema `lethe`). Partitions belong to their table.
select n.nspname::text as "schema!", c.relname::text as "name!",
       quote_ident(n.nspname) || '.' || quote_ident(c.relname) as "sql!"
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('lethe', 'lethe_map') and c.relkind in ('r', 'p', 'f') and not c.relispartition
  and not (n.nspname = 'lethe' and c.relname = any ($1))
order by 1, 2
