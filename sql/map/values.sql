-- What the statistics of these columns ($1 tables, $2 columns, as parallel arrays) look like. Only counts leave the
-- database. $3: the bases of the buckets' URLs. Strings inside of jsonb and of arrays stand between quotes.
with looked as materialized (
    select w.place, v.value
    from unnest($1::int8[]::oid[], $2::text[]) with ordinality w (table_id, name, place)
    join pg_class c on c.oid = w.table_id
    join pg_namespace n on n.oid = c.relnamespace
    join pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = w.name
         and s.inherited = (c.relkind = 'p')
    cross join lateral (
        select left(x.value, 400) as value
        from unnest(s.most_common_vals::text::text[] || s.histogram_bounds::text::text[]
                    || s.most_common_elems::text::text[]) x (value)
        limit 100
    ) v
)
select place as "place!", count(*) as "looked!",
       count(*) filter (where value like '%user\_%' and value ~ '(^|")user_[0-9A-Za-z]{20,32}("|$)') as "clerk_ids!",
       count(*) filter (where value like '%@%.%' and value ~ '(^|")[^\s@"]+@[^\s@"]+\.[A-Za-z]{2,}("|$)') as "emails!",
       count(*) filter (where value like '%/%.%' and value ~ '(^|")[^\s:/"]+(/[^\s:/"]+)+\.[A-Za-z0-9]{1,8}("|$)')
           as "object_keys!",
       count(*) filter (where value like '%://%' and exists (
           select from unnest($3::text[]) b (base) where position(b.base in value) > 0)) as "urls!"
from looked group by place order by place
