-- Of the tables of the map ($1, in its order), those without a function of their own rows. PostgreSQL drops a function with
-- the table whose row it takes, and a table that took another one's name has none.
select t.at::int4 - 1 as "kind!"
from unnest($1::int8[]) with ordinality t (id, at)
join pg_class c on c.oid = t.id::oid
where (select count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
       where n.nspname = 'lethe_map' and p.proargtypes[0] = c.reltype
         and p.proname in ('goes_' || t.at - 1, 'rests_' || t.at - 1, 'owner_' || t.at - 1)) < 3
order by t.at
