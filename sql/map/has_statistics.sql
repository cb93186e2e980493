-- Whether there are statistics of one of these tables ($1) that this role may read.
select exists (
    select from pg_stats s
    join pg_namespace n on n.nspname = s.schemaname
    join pg_class c on c.relnamespace = n.oid and c.relname = s.tablename
    where c.oid = any ($1::int8[]::oid[])) as "has_statistics!"
