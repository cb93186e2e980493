create schema if not exists lethe_map;

-- A text in which each %XX stands for a byte; null if these are no UTF-8.
create or replace function lethe_map.percent_decoded(value text) returns text
language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $lethe$
begin
    return coalesce((select convert_from(string_agg(case when m.parts[1] ~ '^%[0-9A-Fa-f]{2}$'
                                                then decode(substr(m.parts[1], 2), 'hex')
                                                else convert_to(m.parts[1], 'UTF8') end, ''::bytea order by m.at), 'UTF8')
            from regexp_matches(percent_decoded.value, '%[0-9A-Fa-f]{2}|[^%]+|%', 'g') with ordinality m (parts, at)), '');
exception when character_not_in_repertoire or untranslatable_character then
    return null;
end
$lethe$;

-- The object that a column's value names: a key, or a URL below one of the bucket's bases, of which the query is cut
-- and the rest decoded once. Any other URL is foreign. Nothing for null and for what names no key.
create or replace function lethe_map.object_key(value text, origins text[], paths text[])
returns table (key text, is_foreign boolean)
language plpgsql immutable set search_path = pg_catalog, pg_temp as $lethe$
declare
    url text := case when object_key.value like '//%' then 'https:' else '' end || object_key.value;
    origin text := substring(url from '^[^/]*//[^/?#]*');
    rest text := regexp_replace(substr(url, length(origin) + 1), '[?#].*$', '');
begin
    if coalesce(object_key.value, '') = '' then
        return;
    end if;
    key := object_key.value;
    is_foreign := url ~ '^[A-Za-z][A-Za-z0-9+.-]*://';
    if is_foreign then
        for i in 1 .. cardinality(origins) loop
            if lower(origin) = origins[i] and starts_with(rest, paths[i]) then
                key := lethe_map.percent_decoded(substr(rest, length(paths[i]) + 1));
                is_foreign := key is null;
                key := coalesce(key, object_key.value);
                exit;
            end if;
        end loop;
    end if;
    if key <> '' then
        return next;
    end if;
end
$lethe$;

-- What an erasure of a user would remove, keep and leave.
create or replace function lethe_map.plan(user_id text) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set row_security = off set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $lethe$
<<lethe>>
declare
    clerk_id text := plan.user_id;
    id text;
    answer jsonb;
begin
    lethe.id := lethe.clerk_id;
    with recursive doomed (kind, part, place) as (
        select 0, c.tableoid, c.ctid from public.users c where c.id operator(pg_catalog.=) lethe.clerk_id
        union
        select 1 as kind, c.tableoid as part, c.ctid as place from public.collections c where c.user_id operator(pg_catalog.=) lethe.id
        union
        select 2 as kind, c.tableoid as part, c.ctid as place from public.samples c where c.user_id operator(pg_catalog.=) lethe.id
        union
        select x.kind, x.part, x.place from doomed d cross join lateral (
            select 3 as kind, c.tableoid as part, c.ctid as place from public.samples p join public.sample_images c on p.id operator(pg_catalog.=) c.sample_id where d.kind = 2 and p.tableoid = d.part and p.ctid = d.place
        ) x
    ), gone (kind, part, place) as materialized (
        select d.kind, d.part, d.place from doomed d
    ), changed (rule, kind, part, place) as materialized (
        select distinct x.rule, x.kind, x.part, x.place from (
            select y.* from doomed d cross join lateral (
                select 2, 2 as kind, c.tableoid as part, c.ctid as place from public.collections p join public.samples c on p.id operator(pg_catalog.=) c.collection_id where d.kind = 1 and p.tableoid = d.part and p.ctid = d.place
            ) y
        ) x (rule, kind, part, place)
        where (x.kind, x.part, x.place) not in (select g.kind, g.part, g.place from gone g)
    ),
    named (kind, action, bucket, key, is_foreign, is_outside) as materialized (
        select 3, 'delete', '', k.key, k.is_foreign, false from gone d join public.sample_images t on t.tableoid = d.part and t.ctid = d.place cross join lateral (select t.object_key::text) v (value) cross join lateral lethe_map.object_key(v.value, array[]::text[], array[]::text[]) k where d.kind = 3
    ), object (bucket, key, is_foreign, is_outside) as materialized (
        select n.bucket, n.key, n.is_foreign, bool_and(n.is_outside) from named n group by 1, 2, 3
    ), wanted (bucket, key, is_foreign, is_outside, is_shared) as materialized (
        select w.bucket, w.key, w.is_foreign, w.is_outside, not w.is_foreign and (w.bucket = '' and exists (select from public.sample_images t where t.object_key operator(pg_catalog.=) w.key and t.deleted_at is null and (t.tableoid, t.ctid) not in (select g.part, g.place from gone g where g.kind = 3))) from object w
    ),
    type (kind, name) as (values (0, 'user'), (1, 'collection'), (2, 'sample'), (3, 'sample-image')),
    rule (number, action, why, must_go) as (values (2, 'detach', '', true)),
    touched (kind, part, place, action, why) as (
        select g.kind, g.part, g.place, 'delete', null from gone g
        union all
        select distinct c.kind, c.part, c.place, r.action, r.why from changed c join rule r on r.number = c.rule
    ),
    counted (type, action, rows, keys) as (
        select t.name, x.action, count(distinct (x.part, x.place)), (select count(distinct (n.bucket, n.key)) from named n
            where n.kind = x.kind and n.action = x.action and not n.is_foreign)
        from touched x join type t on t.kind = x.kind group by t.name, x.kind, x.action
    ),
    kept (type, rows, why) as (
        select t.name, count(*), x.why from touched x join type t on t.kind = x.kind
        where x.action = 'keep' group by t.name, x.why
    )
    select jsonb_build_object(
        'rows', coalesce((select jsonb_agg(jsonb_build_object('type', c.type, 'action', c.action, 'rows', c.rows, 'keys', c.keys)
            order by c.type, c.action) from counted c), '[]'),
        'kept', coalesce((select jsonb_agg(jsonb_build_object('type', k.type, 'rows', k.rows, 'why', k.why)
            order by k.type, k.why) from kept k), '[]'),
        'objects', jsonb_build_object(
            'delete', (select count(*) from wanted w where not w.is_foreign and not w.is_outside and not w.is_shared),
            'shared', (select count(*) from wanted w where w.is_shared),
            'foreign', (select count(*) from wanted w where w.is_foreign),
            'outside', coalesce((select jsonb_agg(o.key order by o.key) from (select distinct w.key from wanted w
                where not w.is_foreign and w.is_outside and not w.is_shared order by w.key limit 1000) o), '[]')))
    into lethe.answer;
    return lethe.answer;
end
$lethe$;

-- What is left of a user: rows by type, and by what the erasure should have done.
create or replace function lethe_map.leftovers(user_id text, user_key text default null)
returns table (type text, action text, rows bigint)
language plpgsql stable set search_path = pg_catalog, pg_temp set row_security = off set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $lethe$
<<lethe>>
declare
    clerk_id text := leftovers.user_id;
    id text;
begin
    lethe.id := lethe.clerk_id;
    lethe.id := coalesce(lethe.id::text, leftovers.user_key);
    return query with recursive doomed (kind, part, place) as (
        select 0, c.tableoid, c.ctid from public.users c where c.id operator(pg_catalog.=) lethe.clerk_id
        union
        select 1 as kind, c.tableoid as part, c.ctid as place from public.collections c where c.user_id operator(pg_catalog.=) lethe.id
        union
        select 2 as kind, c.tableoid as part, c.ctid as place from public.samples c where c.user_id operator(pg_catalog.=) lethe.id
        union
        select x.kind, x.part, x.place from doomed d cross join lateral (
            select 3 as kind, c.tableoid as part, c.ctid as place from public.samples p join public.sample_images c on p.id operator(pg_catalog.=) c.sample_id where d.kind = 2 and p.tableoid = d.part and p.ctid = d.place
        ) x
    ), gone (kind, part, place) as materialized (
        select d.kind, d.part, d.place from doomed d
    ), changed (rule, kind, part, place) as materialized (
        select distinct x.rule, x.kind, x.part, x.place from (
            select y.* from doomed d cross join lateral (
                select 2, 2 as kind, c.tableoid as part, c.ctid as place from public.collections p join public.samples c on p.id operator(pg_catalog.=) c.collection_id where d.kind = 1 and p.tableoid = d.part and p.ctid = d.place
            ) y
        ) x (rule, kind, part, place)
        where (x.kind, x.part, x.place) not in (select g.kind, g.part, g.place from gone g)
    ),
    type (kind, name) as (values (0, 'user'), (1, 'collection'), (2, 'sample'), (3, 'sample-image')),
    rule (number, action, why, must_go) as (values (2, 'detach', '', true))
    select x.name, x.action, count(*) from (
        select t.name, 'delete'::text, g.part, g.place from gone g join type t on t.kind = g.kind
        union
        select t.name, r.action, c.part, c.place from changed c join rule r on r.number = c.rule and r.must_go
            join type t on t.kind = c.kind
    ) x (name, action, part, place)
    group by x.name, x.action order by x.name, x.action;
end
$lethe$;
