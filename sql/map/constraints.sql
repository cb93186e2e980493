-- Primary keys and foreign keys. Those that a partition has from its parent are left out.
select c.conrelid::int8 as "table_id!", c.conname::text as "name!", c.contype::text as "kind!",
       c.conkey as "columns!", nullif(c.confrelid, 0)::int8 as parent_id, c.confkey as parent_columns,
       c.confdeltype::text as "on_delete!",
       (select array_agg(format('operator(%I.%s)', n.nspname, o.oprname) order by e.at)
        from unnest(c.conpfeqop) with ordinality e (operator, at)
        join pg_operator o on o.oid = e.operator join pg_namespace n on n.oid = o.oprnamespace) as equals
from pg_constraint c
where c.conrelid = any ($1::int8[]::oid[]) and c.contype in ('p', 'f')
  and (c.conparentid = 0 or c.contype = 'p')
order by c.conrelid, c.conname
