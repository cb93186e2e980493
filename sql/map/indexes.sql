-- The valid indexes, each with its leading columns (0 is an expression) and its condition.
select i.indrelid::int8 as "table_id!", am.amname::text as "method!", i.indisunique as "is_unique!",
       (select array_agg(k.number order by k.at) from unnest(i.indkey::int2[]) with ordinality k (number, at)
        where k.at <= i.indnkeyatts) as "columns!",
       pg_get_expr(i.indpred, i.indrelid) as condition
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_am am on am.oid = c.relam
where i.indrelid = any ($1::int8[]::oid[]) and i.indisvalid
order by i.indrelid, c.relname
