-- Every table but those of PostgreSQL, of Lethe and of extensions. The number of rows is the planner's estimate; of
-- a table without one it is guessed from its size, with rows of 100 bytes.
select c.oid::int8 as "id!", n.nspname::text as "schema!", c.relname::text as "name!",
       quote_ident(n.nspname) || '.' || quote_ident(c.relname) as "sql!", c.relkind::text as "kind!",
       c.relispartition as "is_partition!",
       (select i.inhparent::int8 from pg_inherits i where i.inhrelid = c.oid order by i.inhseqno limit 1) as parent_id,
       (case when c.relkind = 'p' then
            (select sum(case when l.reltuples < 0 then pg_relation_size(l.oid) / 100.0 else l.reltuples end)
             from pg_partition_tree(c.oid) t join pg_class l on l.oid = t.relid where t.isleaf and l.relkind = 'r')
             when c.reltuples < 0 and c.relkind = 'r' then pg_relation_size(c.oid) / 100.0
             else greatest(c.reltuples, 0) end)::int8 as rows,
       c.relrowsecurity as "has_row_security!", row_security_active(c.oid) as "hides_rows!"
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'f') and c.relpersistence <> 't'
  and n.nspname not in ('information_schema', 'lethe', 'lethe_map') and n.nspname !~ '^pg_'
  and not exists (select from pg_depend d
                  where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by n.nspname, c.relname
