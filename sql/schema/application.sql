-- The columns of those of these tables ($1) that exist in schema public.
select c.relname as "table_name!", a.attname as "column_name!", format_type(a.atttypid, null) as "data_type!",
       coalesce(a.attnum = any (i.indkey::int2[]), false) as "is_key!", not a.attnotnull as "is_nullable!"
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_index i on i.indrelid = c.oid and i.indisprimary
where c.relnamespace = 'public'::regnamespace and c.relname = any ($1) and c.relkind in ('r', 'p')
order by c.relname, a.attnum
