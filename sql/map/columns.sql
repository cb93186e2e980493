-- The columns of these tables ($1). A domain has the type that it is made of, and may refuse nulls itself. The
-- equality is that of the type's default btree class: under a pinned search path a bare `=` on citext would be
-- that of text.
with recursive base (id, base_id, not_null) as (
    select t.oid, t.oid, false from pg_type t where t.typtype <> 'd'
    union all
    select d.oid, b.base_id, b.not_null or d.typnotnull from base b
    join pg_type d on d.typtype = 'd' and d.typbasetype = b.id
)
select a.attrelid::int8 as "table_id!", a.attnum as "number!", a.attname::text as "name!",
       quote_ident(a.attname) as "sql!", format_type(a.atttypid, a.atttypmod) as "type_sql!",
       t.typname::text as "base_type!", format_type(b.base_id, -1) as "base_sql!", t.typcategory::text as "category!", t.typtype = 'e' as "is_enum!",
       a.attnotnull or b.not_null as "not_null!",
       a.attgenerated <> '' or a.attidentity = 'a' as "is_generated!",
       coalesce((select format('operator(%I.%s)', n.nspname, o.oprname)
                 from pg_opclass oc
                 join pg_am am on am.oid = oc.opcmethod and am.amname = 'btree'
                 join pg_amop ao on ao.amopfamily = oc.opcfamily and ao.amopstrategy = 3
                      and ao.amoplefttype = oc.opcintype and ao.amoprighttype = oc.opcintype
                 join pg_operator o on o.oid = ao.amopopr
                 join pg_namespace n on n.oid = o.oprnamespace
                 where oc.opcintype = b.base_id and oc.opcdefault limit 1),
                'operator(pg_catalog.=)') as "equals!"
from pg_attribute a
join base b on b.id = a.atttypid
join pg_type t on t.oid = b.base_id
where a.attrelid = any ($1::int8[]::oid[]) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum
