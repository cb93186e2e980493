create schema if not exists lethe_map;

do $lethe$
declare
    trigger record;
begin
    for trigger in
        select t.tgname, t.tgrelid::regclass as relation from pg_trigger t
        where t.tgfoid = 'lethe.refuse_tombstoned_user()'::regprocedure and t.tgparentid = 0
    loop
        execute format('drop trigger %I on %s', trigger.tgname, trigger.relation);
    end loop;
end
$lethe$;

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

-- How a task names an object: by its key alone in the bucket of S3_BUCKET, else as s3://bucket/key. A key that is outside
-- of what the map allows is marked. A key that looks like one of these forms is written as s3:///key.
create or replace function lethe_map.key_ref(bucket text, key text, is_outside boolean) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $lethe$
begin
    return case when key_ref.is_outside then 'outside:' else '' end
        || case when key_ref.bucket <> '' then 's3://' || key_ref.bucket || '/' || key_ref.key
                when key_ref.key ~ '^(s3://|outside:)' then 's3:///' || key_ref.key
                else key_ref.key end;
end
$lethe$;

create or replace function lethe_map.parse_ref(ref text, out bucket text, out key text)
language plpgsql immutable set search_path = pg_catalog, pg_temp as $lethe$
declare
    rest text := case when parse_ref.ref like 'outside:%' then substr(parse_ref.ref, 9) else parse_ref.ref end;
    cut int;
begin
    bucket := '';
    key := rest;
    if rest like 's3://%' then
        rest := substr(rest, 6);
        cut := strpos(rest, '/');
        bucket := substr(rest, 1, cut - 1);
        key := substr(rest, cut + 1);
    end if;
end
$lethe$;

-- A text in which every byte is written as %XX but for letters, digits, and what `kept` has.
create or replace function lethe_map.percent_encoded(value text, kept text) returns text
language sql immutable strict set search_path = pg_catalog, pg_temp as $lethe$
    select coalesce(string_agg(case when b.byte between 48 and 57 or b.byte between 65 and 90 or b.byte between 97 and 122
                                      or (b.byte < 128 and strpos(percent_encoded.kept, chr(b.byte)) > 0)
                                    then chr(b.byte) else '%' || upper(lpad(to_hex(b.byte), 2, '0')) end, '' order by b.at), '')
    from (select get_byte(convert_to(percent_encoded.value, 'UTF8'), g.at) as byte, g.at
          from generate_series(0, octet_length(convert_to(percent_encoded.value, 'UTF8')) - 1) g (at)) b
$lethe$;

-- The forms in which a column usually names an object: the key, and below each base the key as it is, or encoded as
-- JavaScript's encodeURI and encodeURIComponent do.
create or replace function lethe_map.forms_of(key text, origins text[], paths text[]) returns text[]
language sql immutable set search_path = pg_catalog, pg_temp as $lethe$
    select array_agg(distinct f.form) from (
        select forms_of.key
        union all
        select b.origin || b.path || e.encoded
        from unnest(forms_of.origins, forms_of.paths) b (origin, path)
        cross join (values (forms_of.key),
                           (lethe_map.percent_encoded(forms_of.key, '-_.!~*''()/;,?:@&=+$#')),
                           (lethe_map.percent_encoded(forms_of.key, '-_.!~*''()/')),
                           (lethe_map.percent_encoded(forms_of.key, '-_.~/'))) e (encoded)
    ) f (form)
$lethe$;

-- How tasks name these objects, without the marks of those that something else allows to be deleted; null for null.
create or replace function lethe_map.unmarked(refs text[], allowed text[]) returns text[]
language plpgsql immutable strict set search_path = pg_catalog, pg_temp as $lethe$
begin
    return array(
        select case when r.ref like 'outside:%' and substr(r.ref, 9) in (select a.ref from unnest(unmarked.allowed) a (ref))
                    then substr(r.ref, 9) else r.ref end
        from unnest(unmarked.refs) with ordinality r (ref, at) order by r.at);
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
        select t.name, count(distinct (x.part, x.place)), x.why from touched x join type t on t.kind = x.kind
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

create trigger users_not_tombstoned before insert or update of id on public.users
    for each row execute function lethe.refuse_tombstoned_user('id');

-- Locks the row of a user, and says whether there is one. Without `is_patient` a row that somebody holds is not waited
-- for: it is there.
create or replace function lethe_map.lock_user(user_id text, is_patient boolean) returns boolean
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
begin
    if is_patient then
        perform from public.users u where u.id = lock_user.user_id for no key update;
    else
        perform from public.users u where u.id = lock_user.user_id for no key update skip locked;
    end if;
    return found or exists (select from public.users u where u.id = lock_user.user_id);
end
$$;

create or replace function lethe_map.has_user(user_id text) returns boolean
language sql stable set search_path = lethe, pg_temp set row_security = off as $$
    select exists (select from public.users u where u.id = user_id)
$$;

-- Soft-deletes rows, as of `at_time`. A row that is marked already stays as it is, unless its time lies in the future:
-- that is a plan of the application. All writes of soft deletes stand here, because they run triggers of the
-- application, with its search path.
create or replace function lethe_map.mark(
    user_ids text[], collection_ids uuid[], sample_ids uuid[], image_ids uuid[], at_time timestamptz, by_whom text) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
begin
    perform set_config('search_path', lethe.application_path(), true);
    if cardinality(user_ids) > 0 then
        update public.users u set deleted_at = at_time, deleted_by = by_whom
        where u.id = any (user_ids) and (u.deleted_at is null or u.deleted_at > now());
    end if;
    if cardinality(collection_ids) > 0 then
        update public.collections c set deleted_at = at_time, deleted_by = by_whom
        where c.id = any (collection_ids) and (c.deleted_at is null or c.deleted_at > now());
    end if;
    if cardinality(sample_ids) > 0 then
        update public.samples s set deleted_at = at_time, deleted_by = by_whom
        where s.id = any (sample_ids) and (s.deleted_at is null or s.deleted_at > now());
    end if;
    if cardinality(image_ids) > 0 then
        update public.sample_images i set deleted_at = at_time, deleted_by = by_whom
        where i.id = any (image_ids) and (i.deleted_at is null or i.deleted_at > now());
    end if;
end
$$;

-- Makes the rows live again that this erasure soft-deleted. It runs triggers of the application, with its search path.
create or replace function lethe_map.unmark(root lethe.cleanup_tasks) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
begin
    perform set_config('search_path', lethe.application_path(), true);
    update public.sample_images i set deleted_at = null, deleted_by = null
    from public.samples s
    where s.user_id = root.user_id and i.sample_id = s.id and i.deleted_at = root.created_at;
    update public.samples s set deleted_at = null, deleted_by = null
    where s.user_id = root.user_id and s.deleted_at = root.created_at;
    update public.collections c set deleted_at = null, deleted_by = null
    where c.user_id = root.user_id and c.deleted_at = root.created_at;
    update public.users u set deleted_at = null, deleted_by = null
    where u.id = root.user_id and u.deleted_at = root.created_at;
end
$$;

-- Marks and plans the next rows of an erasure: at most `max_rows` samples and `max_rows` images. A small erasure is
-- planned at once: then the root itself names all rows (phase `rows`). A larger one gets parts of at most 1,000 rows
-- each, step by step; `plan_cursor` is the last sample and image that were planned, or the last collection that was
-- marked. All rows bear the time of the root task, by which lethe.cancel_erasure knows them. At the end of a pass the
-- phase is `parts`. Repeating a pass is harmless: it finds what came since. Rows that another transaction holds are
-- skipped; a later pass finds them.
create or replace function lethe_map.plan_user(root_id bigint, max_rows int) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off set lock_timeout = '1s' as $$
#variable_conflict use_column
declare
    part_size constant int := 1000;
    root       lethe.cleanup_tasks;
    asked_by   text;
    user_ids   text[];
    collection_ids uuid[];
    choice     record;
    tasks      bigint[];
    is_first   boolean;
    is_last    boolean;
begin
    select * into strict root from lethe.cleanup_tasks where id = root_id;
    select deleted_by into asked_by from lethe.user_tombstones where user_id = root.user_id;
    is_first := root.plan_cursor is null;
    if is_first or root.plan_cursor[1] = 'collection' then
        user_ids := array(
            select u.id from public.users u
            where u.id = root.user_id and (u.deleted_at is null or u.deleted_at > now())
            for no key update skip locked);
        collection_ids := lethe_map.next_collections(root, max_rows);
        if cardinality(collection_ids) = max_rows then
            perform lethe_map.mark(user_ids, collection_ids, null, null, root.created_at, asked_by);
            update lethe.cleanup_tasks
            set phase = 'plan', lane = greatest(lane, 1), plan_cursor = array['collection', collection_ids[max_rows]::text]
            where id = root_id;
            return;
        end if;
        root.plan_cursor := null;
    end if;

    choice := lethe_map.choose_rows(root.user_id, root_id, root.plan_cursor[2]::uuid, root.plan_cursor[3]::uuid, max_rows);
    perform lethe_map.mark(user_ids, collection_ids, choice.sample_ids, choice.image_ids, root.created_at, asked_by);
    -- An image with an open deletion of its own loses what is left of its grace.
    tasks := array(
        select t.id from lethe.cleanup_tasks t
        where t.entity_id = any (choice.image_ids::text[]) and t.kind = 'image-delete');
    if cardinality(tasks) > 0 then
        perform lethe.adopt(tasks, root_id);
    end if;
    is_last := choice.pass_ends;
    if is_first and is_last and coalesce(cardinality(choice.image_ids), 0) <= part_size then
        update lethe.cleanup_tasks
        set phase = 'rows', plan_cursor = null, row_type = 'sample-image',
            row_ids = coalesce(choice.image_ids::text[], '{}'),
            object_keys = coalesce((select array_agg(distinct key) from unnest(choice.keys) as key where key is not null), '{}')
        where id = root_id;
        return;
    end if;
    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, row_type, row_ids, lane, parent_id,
        scheduled_at, held_reason)
    select 'user-delete-part', 'user', root.user_id, root.user_id,
           coalesce(array_agg(distinct i.key) filter (where i.key is not null), '{}'), 'sample-image',
           array_agg(i.id::text), 1, root_id, greatest(root.scheduled_at, clock_timestamp()), root.held_reason
    from unnest(choice.image_ids, choice.keys) with ordinality as i (id, key, place)
    group by (i.place - 1) / part_size order by (i.place - 1) / part_size;
    -- A large erasure goes to the bulk lane, so that it does not make small work wait. One in quarantine stays there.
    update lethe.cleanup_tasks
    set phase = case when is_last then 'parts' else 'plan' end, lane = greatest(lane, 1),
        plan_cursor = case when not is_last then array['sample', choice.last_sample::text, choice.last_image::text] end
    where id = root_id;
end
$$;

-- Locks the next collections of an erasure that are to be soft-deleted, in the order of their ids. Fewer than `max_rows`
-- are the last.
create or replace function lethe_map.next_collections(root lethe.cleanup_tasks, max_rows int) returns uuid[]
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
declare
    nil   constant uuid := '00000000-0000-0000-0000-000000000000';
    after uuid := case when root.plan_cursor[1] = 'collection' then root.plan_cursor[2]::uuid end;
begin
    return array(
        select c.id from public.collections c
        where c.user_id = root.user_id and c.id >= coalesce(after, nil) and c.id is distinct from after
          and (c.deleted_at is null or c.deleted_at > now())
        order by c.id limit max_rows for no key update skip locked);
end
$$;

-- Chooses the next samples of a user and their images, from the given places on (null: from the beginning): at most
-- `max_rows` of each. Samples with an open deletion of their own keep it, without its grace, as parts of this
-- erasure; their images are not chosen. Each image is read once, by index, in the order of samples and images.
create or replace function lethe_map.choose_rows(
    of_user text, root_id bigint, after_sample uuid, after_image uuid, max_rows int,
    out sample_ids uuid[], out image_ids uuid[], out keys text[], out last_sample uuid, out last_image uuid,
    out pass_ends boolean)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
#variable_conflict use_variable
declare
    -- The smallest id: a condition on it can always be looked up in an index, with or without a cursor.
    nil     constant uuid := '00000000-0000-0000-0000-000000000000';
    adopted uuid[];
    tasks   bigint[];
begin
    sample_ids := array(
        select s.id from public.samples s
        where s.user_id = of_user and s.id >= coalesce(after_sample, nil)
        order by s.id limit max_rows
        for no key update skip locked);
    pass_ends := cardinality(sample_ids) < max_rows;
    last_sample := sample_ids[cardinality(sample_ids)];

    select coalesce(array_agg(t.entity_id::uuid), '{}'), array_agg(t.id) into adopted, tasks
    from lethe.cleanup_tasks t
    where t.entity_id = any (sample_ids::text[]) and t.kind = 'sample-delete';
    if cardinality(adopted) > 0 then
        perform lethe.adopt(tasks, root_id);
    end if;

    select array_agg(i.id), array_agg(i.object_key) into image_ids, keys
    from (
        select i.id, i.object_key
        from unnest(sample_ids) as s (id)
        cross join lateral (
            select i.id, i.object_key from public.sample_images i
            where i.sample_id = s.id
              and i.id >= case when s.id = after_sample then coalesce(after_image, nil) else nil end
              and (s.id is distinct from after_sample or i.id is distinct from after_image)
            order by i.id limit max_rows
        ) i
        where cardinality(adopted) = 0 or s.id <> all (adopted)
        limit max_rows
    ) i;
    if cardinality(image_ids) = max_rows then
        -- The images of the last sample may not all be chosen. Later samples are not marked yet.
        pass_ends := false;
        last_image := image_ids[max_rows];
        select i.sample_id into last_sample from public.sample_images i where i.id = last_image;
        sample_ids := array(select s.id from unnest(sample_ids) as s (id) where s.id <= last_sample);
    elsif not pass_ends then
        -- Larger than any image of the last sample, so that the next step begins after it.
        last_image := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    end if;
end
$$;

-- Of these keys, which must not be deleted? Those that a live image of a live sample names, and those that an image names
-- which can be made live again: an image whose own deletion was never claimed, one of a sample whose deletion was never
-- claimed, or one of a user whose erasure can still be cancelled (also an image that is not marked yet, of a sample that
-- is). A time of deletion that lies in the future is a plan; the row is live until then. No key is kept for ever: the
-- deletion of the other row has the key too, and once it is claimed it protects nothing. Two tasks that are claimed together
-- protect nothing from each other, so both delete the key. `owners` says for each key the entity that is being deleted: a
-- row of that sample protects nothing.
--
-- Asked before every request to the store, for 1,000 keys: each is looked up by index, whatever the statistics
-- say (scalar subselects with a limit, no sequential scan, one plan).
create or replace function lethe_map.protected_keys(keys text[], owners text[]) returns setof text
language plpgsql stable set search_path = lethe, pg_temp set row_security = off
set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
begin
    return query
    select k.key
    from unnest(keys, owners) as k (key, owner)
    where (
        select i.id from public.sample_images i
        where i.object_key = k.key
          and (
              ((i.deleted_at is null or i.deleted_at > now())
               and (select s.id from public.samples s
                    where s.id = i.sample_id and (s.deleted_at is null or s.deleted_at > now()) limit 1) is not null)
              or (i.sample_id::text is distinct from k.owner
                  and (select t.id from lethe.cleanup_tasks t
                       where t.entity_id = i.sample_id::text and t.kind = 'sample-delete'
                         and t.status = 'pending' and t.lease_token = 0 and t.parent_id is null limit 1) is not null
                  and (select t.id from lethe.cleanup_tasks t
                       where t.entity_id = i.id::text and t.kind = 'image-delete' limit 1) is null)
              or (select t.id from lethe.cleanup_tasks t
                  where t.entity_id = i.id::text and t.kind = 'image-delete'
                    and t.status = 'pending' and t.lease_token = 0 and t.parent_id is null limit 1) is not null
              or (select t.id from public.samples s join lethe.cleanup_tasks t on t.entity_id = s.user_id
                  where s.id = i.sample_id and t.kind = 'user-delete' and t.status = 'pending' and t.lease_token = 0
                    and t.created_at = coalesce(i.deleted_at, s.deleted_at) and not lethe.is_touched(t)
                  limit 1) is not null)
        limit 1) is not null;
end
$$;

-- The keys that these rows name now, and whether all of the rows are there. A row that is gone cannot say its key.
create or replace function lethe_map.read_keys(of_user text, row_type text, row_ids text[], out keys text[], out is_whole boolean)
language sql stable set search_path = lethe, pg_temp as $$
    select array_agg(distinct i.object_key), count(*) = cardinality(row_ids)
    from public.sample_images i where i.id = any (row_ids::uuid[])
$$;

-- Removes those of the images `ids` whose key is one of `answered`, or that name no key. `tasks` and `users` stand at the same places: the
-- task that names the image, and for a part of an erasure its user; a row that was given to another user stays.
create or replace function lethe_map.remove_images(
    ids uuid[], tasks bigint[], users text[], answered text[], careful boolean)
returns table (task_id bigint, image_id uuid, sample_id uuid)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
#variable_conflict use_column
declare
    free uuid[];
begin
    perform set_config('search_path', lethe.application_path(), true);
    if careful then
        free := array(select i.id from public.sample_images i where i.id = any (ids) order by i.id for update skip locked);
    end if;
    return query
    delete from public.sample_images i
    using unnest(ids, tasks, users) as n (id, task, user_id)
    where i.id = n.id
      and (free is null or n.id = any (free))
      -- Written so that the keys are hashed once, whatever the planner believes of their number.
      and (i.object_key is null or (i.object_key not in (select a.key from unnest(answered) as a (key))) is false)
      and ((i.deleted_at is null) is false
           or (select s.deleted_at from public.samples s where s.id = i.sample_id) is not null)
      and (n.user_id is null
           or (select s.user_id from public.samples s where s.id = i.sample_id) = n.user_id)
    returning n.task, i.id, i.sample_id;
end
$$;

-- Removes those of these samples that are soft-deleted and have no image.
create or replace function lethe_map.remove_samples(ids uuid[], careful boolean)
returns table (sample_id uuid, user_id text)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
#variable_conflict use_column
begin
    perform set_config('search_path', lethe.application_path(), true);
    if careful then
        ids := array(select s.id from public.samples s where s.id = any (ids) order by s.id for update skip locked);
    end if;
    return query
    delete from public.samples s
    where s.id = any (ids) and (s.deleted_at is null) is false
      and (select i.id from public.sample_images i where i.sample_id = s.id limit 1) is null
    returning s.id, s.user_id;
end
$$;

-- Removes the rows of erased users that name no object, children before parents: samples without images, then
-- collections without samples, then the users. Samples of others leave the collections and stay. At most `max_rows` of
-- each table; for a single user the samples after `after`, in the order of their ids.
create or replace function lethe_map.remove_upwards(
    users text[], after uuid, max_rows int, careful boolean,
    out sample_ids uuid[], out sample_users text[], out collection_ids uuid[], out collection_users text[],
    out user_ids text[], out last_sample uuid, out has_more boolean)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
#variable_conflict use_variable
declare
    nil constant uuid := '00000000-0000-0000-0000-000000000000';
    chosen uuid[];
    others int;
begin
    has_more := false;
    if cardinality(users) = 0 then
        return;
    end if;
    perform set_config('search_path', lethe.application_path(), true);
    if cardinality(users) = 1 then
        chosen := array(select s.id from public.samples s
                        where s.user_id = users[1] and s.id >= coalesce(after, nil) and s.id is distinct from after
                        order by s.id limit max_rows);
        last_sample := chosen[cardinality(chosen)];
    else
        chosen := array(select s.id from public.samples s where s.user_id = any (users) limit max_rows);
    end if;
    has_more := cardinality(chosen) = max_rows;
    select array_agg(r.sample_id), array_agg(r.user_id) into sample_ids, sample_users
    from lethe_map.remove_samples(chosen, careful) r;
    if has_more then
        return;
    end if;

    chosen := array(select c.id from public.collections c where c.user_id = any (users) limit max_rows);
    has_more := cardinality(chosen) = max_rows;
    if cardinality(chosen) > 0 then
        update public.samples s set collection_id = null
        where s.id = any (array(select o.id from public.samples o where o.collection_id = any (chosen)
                                limit max_rows for no key update skip locked));
        get diagnostics others = row_count;
        has_more := has_more or others = max_rows;
        if careful then
            chosen := array(select c.id from public.collections c where c.id = any (chosen) order by c.id for update skip locked);
        end if;
        with gone as (
            delete from public.collections c
            where c.id = any (chosen) and (c.deleted_at is null) is false
              and (select s.id from public.samples s where s.collection_id = c.id limit 1) is null
            returning c.id, c.user_id
        )
        select array_agg(gone.id), array_agg(gone.user_id) into collection_ids, collection_users from gone;
        -- If the database keeps each of them and nothing could be detached, the next step would do no more than this one.
        has_more := has_more and (others > 0 or cardinality(collection_ids) > 0);
    end if;
    if has_more then
        return;
    end if;

    if careful then
        users := array(select u.id from public.users u where u.id = any (users) order by u.id for update skip locked);
    end if;
    with gone as (
        delete from public.users u
        where u.id = any (users) and (u.deleted_at is null) is false
          and (select s.id from public.samples s where s.user_id = u.id limit 1) is null
          and (select c.id from public.collections c where c.user_id = u.id limit 1) is null
        returning u.id
    )
    select array_agg(gone.id) into user_ids from gone;
end
$$;

-- Why a row of an erased user is still there, the first that is found; null when nothing is left. `is_held`: another
-- transaction holds it, or it has a child that will be planned; otherwise the database keeps it though nobody holds it.
create or replace function lethe_map.leftover(of_user text, out what text, out is_held boolean)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
begin
    if exists (select from public.samples s where s.user_id = of_user) then
        what := 'samples';
        is_held := not exists (
            select from (select s.id, s.deleted_at from public.samples s where s.user_id = of_user
                         order by s.id limit 1000 for update skip locked) free
            where free.deleted_at is not null
              and (select i.id from public.sample_images i where i.sample_id = free.id limit 1) is null);
    elsif exists (select from public.collections c where c.user_id = of_user) then
        what := 'collections';
        is_held := not exists (
            select from (select c.id, c.deleted_at from public.collections c where c.user_id = of_user
                         order by c.id limit 1000 for update skip locked) free
            where free.deleted_at is not null
              and (select s.id from public.samples s where s.collection_id = free.id limit 1) is null);
    elsif exists (select from public.users u where u.id = of_user) then
        what := 'users';
        is_held := not exists (
            select from (select u.deleted_at from public.users u where u.id = of_user for update skip locked) free
            where free.deleted_at is not null);
    end if;
end
$$;

-- Settles tasks whose every key was answered for: removes their rows, and ends those that have nothing left. The
-- caller holds their locks and has checked the fence. Of each task it returns what was removed and one of these
-- results: `completed`; `more`: the task goes on with the rows that it names now; `held`: another transaction holds a
-- row; `stays`: a row is still there though its DELETE was not refused and nobody holds it (a trigger keeps it);
-- `parts`: an erasure waits for its parts. `error` is the table of that row.
create or replace function lethe_map.settle_tasks(
    worker text, task_ids bigint[], kept_tasks bigint[], kept_keys text[], careful boolean)
returns table (task_id bigint, result text, error text, row_type text, named_rows int, other_rows jsonb)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = off as $$
#variable_conflict use_variable
declare
    -- A settle removes at most so many rows of one table beside those that its tasks name.
    max_rows  constant int := 20000;
    named     record;
    gone      record;
    removed   uuid[];
    upwards   record;
    more      record;
    open_ids  bigint[];
    done_ids  bigint[];
    results   text[] := '{}';
    errors    text[] := '{}';
    task      lethe.cleanup_tasks;
    rest      record;
    place     int;
begin
    -- The rows that the tasks name.
    select array_agg(r.id::uuid) as ids, array_agg(t.id) as tasks,
           array_agg(case when t.kind in ('user-delete', 'user-delete-part') then t.user_id end) as users
    into named
    from unnest(task_ids) as x (id)
    cross join lateral (select c.id, c.kind, c.user_id, c.row_ids from lethe.cleanup_tasks c where c.id = x.id offset 0) t
    cross join lateral unnest(t.row_ids) as r (id);
    select array_agg(g.task_id) as tasks, array_agg(g.sample_id) as samples
    into gone
    from lethe_map.remove_images(
        named.ids, named.tasks, named.users,
        array(select k.key from lethe.cleanup_tasks c cross join lateral unnest(c.object_keys) as k (key)
              where c.id = any (task_ids)),
        careful) g;

    -- Samples that may be empty now: those of the tasks, and those of the images that parts of erasures named.
    removed := array(
        select s.sample_id
        from lethe_map.remove_samples(array(
            select c.entity_id::uuid from lethe.cleanup_tasks c where c.id = any (task_ids) and c.kind = 'sample-delete'
            union
            select g.sample from unnest(gone.tasks, gone.samples) as g (task, sample)
            join (select c.id from lethe.cleanup_tasks c
                  where c.id = any (task_ids) and c.kind = 'user-delete-part') p on p.id = g.task), careful) s);
    upwards := lethe_map.remove_upwards(
        array(select c.user_id from lethe.cleanup_tasks c where c.id = any (task_ids) and c.kind = 'user-delete'),
        null, max_rows, careful);

    -- Removed rows beside those that the tasks name, by task.
    select array_agg(m.task) as tasks, array_agg(m.rows) as rows, array_agg(m.counts) as counts into more
    from (
        select e.task, jsonb_object_agg(e.type, e.ids) as rows, jsonb_object_agg(e.type, jsonb_array_length(e.ids)) as counts
        from (
            select r.task, r.type, jsonb_agg(r.id) as ids
            from (
                select c.id as task, 'sample' as type, c.entity_id as id
                from lethe.cleanup_tasks c
                where c.id = any (task_ids) and c.kind = 'sample-delete'
                  and (c.entity_id not in (select r.id::text from unnest(removed) as r (id))) is false
                union all
                select max(g.task), 'sample', g.sample::text
                from unnest(gone.tasks, gone.samples) as g (task, sample)
                join (select c.id from lethe.cleanup_tasks c
                      where c.id = any (task_ids) and c.kind = 'user-delete-part') p on p.id = g.task
                where (g.sample not in (select r.id from unnest(removed) as r (id))) is false
                group by g.sample
                union all
                select c.id, u.type, u.id
                from (
                    select 'sample' as type, s.id::text as id, s.user_id
                    from unnest(upwards.sample_ids, upwards.sample_users) as s (id, user_id)
                    union all
                    select 'collection', s.id::text, s.user_id
                    from unnest(upwards.collection_ids, upwards.collection_users) as s (id, user_id)
                    union all
                    select 'user', s.id, s.id from unnest(upwards.user_ids) as s (id)
                ) u
                join (select c.id, c.user_id from lethe.cleanup_tasks c
                      where c.id = any (task_ids) and c.kind = 'user-delete') c on c.user_id = u.user_id
            ) r
            group by r.task, r.type
        ) e
        group by e.task
    ) m;

    -- The tasks of which something may be left, one by one.
    for task in
        select c.*
        from unnest(task_ids) as x (id)
        cross join lateral (select c.* from lethe.cleanup_tasks c where c.id = x.id offset 0) c
        left join (select g.task, count(*) as n from unnest(gone.tasks) as g (task) group by g.task) g on g.task = c.id
        where cardinality(c.row_ids) > coalesce(g.n, 0)
           or (c.kind = 'sample-delete' and c.entity_id not in (select r.id::text from unnest(removed) as r (id)))
           or (c.kind = 'user-delete' and c.user_id not in (select u.id from unnest(upwards.user_ids) as u (id)))
    loop
        rest := lethe_map.keep_rest(task);
        place := array_position(more.tasks, task.id);
        if task.kind = 'user-delete' and rest.result in ('completed', 'more') then
            rest := lethe_map.keep_root(task.id, task.user_id, place is not null or coalesce(task.id = any (gone.tasks), false));
        end if;
        continue when rest.result = 'completed';
        perform lethe.audit_progress(
            worker, task,
            array(select k.key from unnest(task.object_keys) as k (key)
                  where k.key <> all (array(select o.key from lethe.cleanup_tasks c cross join lateral unnest(c.object_keys) as o (key)
                                            where c.id = task.id))
                    and k.key <> all (array(select p.key from unnest(kept_tasks, kept_keys) as p (task, key) where p.task = task.id))),
            array(select p.key from unnest(kept_tasks, kept_keys) as p (task, key) where p.task = task.id),
            lethe_map.removed_rows(task, more.rows[place]));
        open_ids := open_ids || task.id;
        results := results || rest.result;
        errors := errors || rest.error;
    end loop;

    done_ids := array(select x.id from unnest(task_ids) as x (id)
                      where x.id not in (select o.id from unnest(open_ids) as o (id)));
    perform lethe.finish_tasks(worker, done_ids, more.tasks, more.rows, kept_tasks, kept_keys);

    return query
    select x.id, coalesce(o.result, 'completed'), o.error, 'sample-image', coalesce(g.n, 0)::int, m.counts
    from unnest(task_ids) as x (id)
    left join unnest(open_ids, results, errors) as o (id, result, error) on o.id = x.id
    left join (select g.task, count(*) as n from unnest(gone.tasks) as g (task) group by g.task) g on g.task = x.id
    left join unnest(more.tasks, more.counts) as m (task, counts) on m.task = x.id;
end
$$;

-- What is left of a task whose keys were answered for: the images that it names and that are still there, and for a
-- sample's task the images that came since. The task keeps these and nothing else. The results are those of
-- lethe_map.settle_tasks; `completed` when nothing is left.
create or replace function lethe_map.keep_rest(task lethe.cleanup_tasks, out result text, out error text)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
#variable_conflict use_variable
declare
    -- So many images are added to a sample's task at once; the others are added when these are gone.
    max_late constant int := 1000;
    rest    record;
    sample  public.samples;
    late    uuid[];
begin
    -- A row that is live again, or was given to another user, is no longer the task's.
    select coalesce(array_agg(l.id), '{}') as ids,
           coalesce(array_agg(distinct l.object_key), '{}') as keys,
           coalesce(bool_or(l.object_key <> all (task.object_keys)), false) as has_new_keys,
           coalesce(bool_or(not l.is_free), false) as is_held
    into rest
    from (
        select i.id, i.object_key,
               (select f.id from public.sample_images f where f.id = i.id for update skip locked) is not null as is_free
        from public.sample_images i join public.samples s on s.id = i.sample_id
        where i.id = any (task.row_ids::uuid[])
          and (i.deleted_at is not null or s.deleted_at is not null)
          and (task.kind not in ('user-delete', 'user-delete-part') or s.user_id = task.user_id)
    ) l;
    if task.kind = 'sample-delete' then
        select * into sample from public.samples s where s.id = task.entity_id::uuid;
        if sample.deleted_at is not null then
            late := array(
                select i.id from public.sample_images i
                where i.sample_id = sample.id and i.id <> all (task.row_ids::uuid[])
                order by i.id limit max_late);
            perform lethe_map.mark(null, null, null, late, sample.deleted_at, sample.deleted_by);
        end if;
    end if;
    if cardinality(late) > 0 or rest.has_new_keys then
        update lethe.cleanup_tasks t
        set row_type = 'sample-image', row_ids = (rest.ids || late)::text[],
            object_keys = array(select distinct i.object_key from public.sample_images i where i.id = any (rest.ids || late))
        where t.id = task.id;
        result := 'more';
        return;
    end if;
    if rest.ids <> '{}' then
        update lethe.cleanup_tasks t set row_ids = rest.ids::text[], object_keys = rest.keys where t.id = task.id;
        result := case when rest.is_held then 'held' else 'stays' end;
        error := 'sample_images';
    elsif sample.deleted_at is not null then
        perform from public.samples s where s.id = sample.id for update skip locked;
        result := case when found then 'stays' else 'held' end;
        error := 'samples';
    else
        -- Of the named rows, the record has those that are gone.
        update lethe.cleanup_tasks t
        set row_ids = array(select r.id from unnest(task.row_ids) as r (id)
                            where (select i.id from public.sample_images i where i.id = r.id::uuid) is null)
        where t.id = task.id;
        result := 'completed';
    end if;
end
$$;

-- What is left of an erasure whose rows were removed. An open part is waited for. Otherwise the erasure is planned
-- again, at once if this attempt removed anything, and later if not.
create or replace function lethe_map.keep_root(root_id bigint, of_user text, has_progress boolean, out result text, out error text)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
declare
    leftover record;
begin
    if exists (select from lethe.cleanup_tasks p where p.parent_id = root_id) then
        update lethe.cleanup_tasks set phase = 'parts', plan_cursor = null, object_keys = '{}', row_ids = '{}' where id = root_id;
        result := 'parts';
        return;
    end if;
    leftover := lethe_map.leftover(of_user);
    if leftover.what is null then
        result := 'completed';
        return;
    end if;
    update lethe.cleanup_tasks set phase = 'plan', plan_cursor = null, object_keys = '{}', row_ids = '{}' where id = root_id;
    result := case when has_progress then 'more' when leftover.is_held then 'held' else 'stays' end;
    error := leftover.what;
end
$$;

-- The rows that an unfinished task has removed: those of its named rows that it does not keep, and others.
create or replace function lethe_map.removed_rows(before lethe.cleanup_tasks, more_rows jsonb) returns jsonb
language sql set search_path = lethe, pg_temp as $$
    select nullif(jsonb_strip_nulls(jsonb_build_object(coalesce(before.row_type, 'sample-image'), r.ids)) || coalesce(more_rows, '{}'), '{}')
    from (
        select jsonb_agg(n.id) as ids from unnest(before.row_ids) as n (id)
        where n.id <> all (array(select o.id from lethe.cleanup_tasks c cross join lateral unnest(c.row_ids) as o (id)
                                 where c.id = before.id))
          and (select i.id from public.sample_images i where i.id = n.id::uuid) is null
    ) r
$$;

-- Removes the rows of tasks of which keys remain: those whose key is one of `answered`. Each task keeps its other
-- rows. Returns what went.
create or replace function lethe_map.settle_partly(task_ids bigint[], answered text[]) returns table (task_id bigint, row_id text)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
#variable_conflict use_variable
declare
    named record;
    gone  record;
begin
    select array_agg(r.id::uuid) as ids, array_agg(c.id) as tasks,
           array_agg(case when c.kind in ('user-delete', 'user-delete-part') then c.user_id end) as users
    into named
    from lethe.cleanup_tasks c cross join lateral unnest(c.row_ids) as r (id)
    where c.id = any (task_ids);
    select array_agg(g.task_id) as tasks, array_agg(g.image_id::text) as images
    into gone from lethe_map.remove_images(named.ids, named.tasks, named.users, answered, true) g;
    update lethe.cleanup_tasks c
    set row_ids = array(select r.id from unnest(c.row_ids) as r (id) where r.id <> all (gone.images))
    where c.id = any (task_ids) and c.id = any (gone.tasks);
    return query select g.task, g.image from unnest(gone.tasks, gone.images) as g (task, image);
end
$$;

-- The next step of an erasure that does not fit into one task: it plans the next rows, waits for its parts, or removes
-- the next rows that name no object. The result is one of those of lethe_map.settle_tasks.
create or replace function lethe_map.step_erasure(worker text, root_id bigint, careful boolean)
returns table (result text, error text, other_rows jsonb)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
#variable_conflict use_variable
declare
    max_rows constant int := 5000;
    root    lethe.cleanup_tasks;
    upwards record;
    rows_removed jsonb;
begin
    select * into strict root from lethe.cleanup_tasks c where c.id = root_id;
    if root.phase = 'plan' then
        perform lethe_map.plan_user(root_id, max_rows);
        return query select 'more', null::text, null::jsonb;
        return;
    end if;
    if root.phase = 'parts' then
        if exists (select from lethe.cleanup_tasks p where p.parent_id = root_id) then
            return query select 'parts', null::text, null::jsonb;
            return;
        end if;
        root.plan_cursor := null;
    end if;
    upwards := lethe_map.remove_upwards(array[root.user_id], root.plan_cursor[2]::uuid, max_rows, careful);
    rows_removed := nullif(jsonb_strip_nulls(jsonb_build_object(
        'sample', to_jsonb(upwards.sample_ids), 'collection', to_jsonb(upwards.collection_ids),
        'user', to_jsonb(upwards.user_ids))), '{}');
    if upwards.has_more then
        result := 'more';
        update lethe.cleanup_tasks c
        set phase = 'remove',
            plan_cursor = case when upwards.last_sample is not null then array['sample', upwards.last_sample::text] end
        where c.id = root_id;
    else
        select k.result, k.error into result, error
        from lethe_map.keep_root(root_id, root.user_id, rows_removed is not null) k;
    end if;
    if result = 'completed' then
        perform lethe.finish_tasks(worker, array[root_id], array[root_id], array[rows_removed], null, null);
    else
        perform lethe.audit_progress(worker, root, '{}', '{}', rows_removed);
    end if;
    other_rows := jsonb_build_object(
        'sample', cardinality(upwards.sample_ids), 'collection', cardinality(upwards.collection_ids),
        'user', cardinality(upwards.user_ids));
    return next;
end
$$;

-- Deletes one sample: soft delete of it and its images, and its task, in the caller's transaction.
-- `grace` is how long it can be restored. Returns the task's id, the same one when repeated; null when
-- there is no such sample. For the sample of a user who is being erased it is the erasure's task.
create or replace function lethe.delete_sample(sample_id uuid, deleted_by text, grace interval default interval '0')
returns bigint
language plpgsql security definer set search_path = lethe, pg_temp set row_security = off set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
declare
    -- What a task takes up at once; more images are taken up when these are gone.
    max_images constant int := 10000;
    sample     public.samples;
    task       bigint;
    image_ids  uuid[];
    keys       text[];
begin
    if coalesce(delete_sample.deleted_by, '') = '' then
        raise exception 'deleted_by must not be empty' using errcode = 'invalid_parameter_value';
    end if;
    perform lethe.check_actor(delete_sample.deleted_by);
    select * into sample from public.samples where id = delete_sample.sample_id for no key update;
    if not found then
        return null;
    end if;
    select t.id into task from lethe.cleanup_tasks t
    where t.entity_id = any (array[sample.id::text, sample.user_id])
      and t.kind = case when t.entity_id = sample.user_id then 'user-delete' else 'sample-delete' end
      and t.kind <> 'user-delete-part'
    order by t.kind limit 1;
    if found then
        return task;
    end if;

    -- An image with an open deletion of its own keeps it.
    select array_agg(i.id), array_agg(distinct i.object_key) filter (where i.object_key is not null)
    into image_ids, keys from (
        select i.id, i.object_key from public.sample_images i
        where i.sample_id = sample.id
          and (select t.id from lethe.cleanup_tasks t
               where t.entity_id = i.id::text and t.kind = 'image-delete' limit 1) is null
        order by i.id limit max_images
    ) i;
    if sample.deleted_at is null or sample.deleted_at > now() then
        sample.deleted_at := now();
        sample.deleted_by := delete_sample.deleted_by;
    end if;
    -- The application may have marked the sample before: its images bear the same time, and a restore finds them.
    perform lethe_map.mark(null, null, array[sample.id], image_ids, sample.deleted_at, sample.deleted_by);

    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, row_type, row_ids, lane, scheduled_at)
    values ('sample-delete', 'sample', sample.id::text, sample.user_id, coalesce(keys, '{}'), 'sample-image',
            coalesce(image_ids::text[], '{}'), case when cardinality(keys) > 100 then 1 else 0 end,
            clock_timestamp() + grace)
    returning id into task;
    insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id)
    values ('sample-deletion-requested', delete_sample.deleted_by, task, 'sample-delete', 'sample',
            sample.id::text, sample.user_id);
    return task;
end
$$;

-- Deletes one image of a sample that stays: soft delete and its task, in the caller's transaction. Returns
-- the task's id, the same one when repeated; null when there is no such image. For an image whose sample or
-- user is being deleted it is that task.
create or replace function lethe.delete_image(image_id uuid, deleted_by text, grace interval default '0')
returns bigint
language plpgsql security definer set search_path = lethe, pg_temp set row_security = off set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
declare
    image public.sample_images;
    owner text;
    task  bigint;
begin
    if coalesce(delete_image.deleted_by, '') = '' then
        raise exception 'deleted_by must not be empty' using errcode = 'invalid_parameter_value';
    end if;
    perform lethe.check_actor(delete_image.deleted_by);
    -- The sample first, as everybody locks who deletes.
    select s.user_id into owner
    from public.samples s join public.sample_images i on i.sample_id = s.id
    where i.id = delete_image.image_id
    for no key update of s;
    select * into image from public.sample_images where id = delete_image.image_id for no key update;
    if not found then
        return null;
    end if;
    select t.id into task from lethe.cleanup_tasks t
    where t.entity_id = any (array[image.id::text, image.sample_id::text, owner])
      and t.kind = case t.entity_id when owner then 'user-delete' when image.id::text then 'image-delete'
                                    else 'sample-delete' end
      and t.kind <> 'user-delete-part'
    order by t.kind limit 1;
    if found then
        return task;
    end if;
    perform lethe_map.mark(null, null, null, array[image.id], now(), delete_image.deleted_by);
    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, row_type, row_ids, scheduled_at)
    values ('image-delete', 'sample-image', image.id::text, owner, array[image.object_key], 'sample-image',
            array[image.id::text], clock_timestamp() + grace)
    returning id into task;
    insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id)
    values ('image-deletion-requested', delete_image.deleted_by, task, 'image-delete', 'sample-image',
            image.id::text, owner);
    return task;
end
$$;

create or replace function lethe_map.owner_of(of_type text, of_id text) returns text
language plpgsql stable set search_path = lethe, pg_temp set row_security = off as $$
begin
    return case of_type
        when 'sample' then (select s.user_id from public.samples s where s.id = of_id::uuid)
        when 'sample-image' then (select s.user_id from public.samples s join public.sample_images i on i.sample_id = s.id
                                  where i.id = of_id::uuid)
    end;
exception when invalid_text_representation then
    return null;
end
$$;

-- A sample or an image, locked: the sample first, as everybody locks who deletes.
create or replace function lethe_map.entity(of_type text, of_id text)
returns table (id text, user_id text, deleted_at timestamptz, deleted_by text, details jsonb)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
declare
    entity uuid;
begin
    begin
        entity := of_id::uuid;
    exception when invalid_text_representation then
        return;
    end;
    if of_type = 'sample' then
        return query
        select s.id::text, s.user_id, s.deleted_at, s.deleted_by,
               jsonb_build_object('collection_id', s.collection_id, 'name', s.name, 'created_at', s.created_at)
        from public.samples s where s.id = entity for no key update of s;
    elsif of_type = 'sample-image' then
        return query
        select i.id::text, s.user_id, i.deleted_at, i.deleted_by, '{}'::jsonb
        from public.samples s join public.sample_images i on i.sample_id = s.id
        where i.id = entity for no key update of s;
    end if;
end
$$;

create or replace function lethe_map.delete_entity(of_type text, of_id text, deleted_by text, grace interval) returns bigint
language plpgsql set search_path = lethe, pg_temp as $$
begin
    return case of_type when 'sample' then lethe.delete_sample(of_id::uuid, deleted_by, grace)
                        when 'sample-image' then lethe.delete_image(of_id::uuid, deleted_by, grace) end;
exception when invalid_text_representation then
    return null;
end
$$;

-- The images that went with a sample are live again: of those that its task names, the ones that were marked with
-- the sample or later. If the sample was marked before its task was written, the application did it, and may have
-- marked the images first; then all of them come back.
create or replace function lethe_map.restore_entity(of_type text, of_id text, task_id bigint) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
begin
    if of_type = 'sample' then
        update public.sample_images i
        set deleted_at = null, deleted_by = null
        from public.samples s, lethe.cleanup_tasks task
        where s.id = of_id::uuid and task.id = task_id and i.id = any (task.row_ids::uuid[]) and i.sample_id = s.id
          and i.deleted_at is not null
          and (i.deleted_at >= s.deleted_at or s.deleted_at <> task.created_at);
        update public.samples s set deleted_at = null, deleted_by = null where s.id = of_id::uuid;
    elsif of_type = 'sample-image' then
        update public.sample_images i set deleted_at = null, deleted_by = null where i.id = of_id::uuid;
    end if;
end
$$;

comment on function lethe.delete_sample (uuid, text, interval) is 'Deletes a sample and its objects. Returns the task that says how far it is.';
comment on function lethe.delete_image (uuid, text, interval) is 'Deletes one image of a sample that stays, and its object. Returns the task that says how far it is.';
revoke execute on function lethe.delete_sample (uuid, text, interval), lethe.delete_image (uuid, text, interval) from public;

-- What lists, receipts and reconciliation ask of the built-in tables.

create or replace function lethe_map.user_key(user_id text) returns text
language plpgsql immutable set search_path = lethe, pg_temp as 'begin return null; end';

create or replace function lethe_map.is_user_id(user_id text) returns boolean
language plpgsql immutable set search_path = lethe, pg_temp as 'begin return is_user_id.user_id ~ ''^user_''; end';

create or replace function lethe_map.refusal(user_id text) returns text
language plpgsql immutable set search_path = lethe, pg_temp as $$
begin
    return case when refusal.user_id !~ '^user_' then 'it does not match ^user_' end;
end
$$;

create or replace function lethe_map.buckets() returns text[]
language sql immutable set search_path = lethe, pg_temp as 'select null::text[]';

create or replace function lethe_map.has_rows(user_id text) returns boolean
language sql stable set search_path = lethe, pg_temp as $$
    select exists (select from public.users u where u.id = has_rows.user_id)
        or exists (select from public.samples s where s.user_id = has_rows.user_id)
        or exists (select from public.collections c where c.user_id = has_rows.user_id)
$$;

create or replace function lethe_map.count_rows(user_id text) returns table (type text, rows bigint)
language sql stable set search_path = lethe, pg_temp as $$
    select 'user', (select count(*) from public.users u where u.id = count_rows.user_id)
    union all
    select 'collection', (select count(*) from public.collections c where c.user_id = count_rows.user_id)
    union all
    select 'sample', (select count(*) from public.samples s where s.user_id = count_rows.user_id)
    union all
    select 'sample-image', (select count(*) from public.samples s join public.sample_images i on i.sample_id = s.id
                            where s.user_id = count_rows.user_id)
$$;

create or replace function lethe_map.user_deleted_at(user_id text) returns timestamptz
language sql stable set search_path = lethe, pg_temp as $$
    select u.deleted_at from public.users u where u.id = user_deleted_at.user_id
$$;

create or replace function lethe_map.types() returns table (type text, relation text, plural text, is_api boolean)
language sql immutable set search_path = lethe, pg_temp as $$
    values ('user', 'public.users', 'users', false), ('collection', 'public.collections', 'collections', false),
           ('sample', 'public.samples', 'samples', true), ('sample-image', 'public.sample_images', 'sampleImages', true)
$$;

create or replace function lethe_map.user_ids(after_id text, max_rows int) returns setof text
language sql stable set search_path = lethe, pg_temp set row_security = off as $$
    select u.id from public.users u where u.id > after_id order by u.id limit max_rows
$$;

-- In PL/pgSQL, because users need have no created_at as long as nobody compares them with Clerk.
create or replace function lethe_map.is_live_user(user_id text, created_before timestamptz) returns boolean
language plpgsql stable set search_path = lethe, pg_temp set row_security = off as $$
begin
    return exists (select from public.users u
                   where u.id = is_live_user.user_id and u.deleted_at is null and u.created_at < created_before);
end
$$;

-- Each table reads no more than a page from its own index. Of the rows of one time, users come first, then collections,
-- samples and images; those from `before_id` on were shown already, and so were those of the types before it.
create or replace function lethe_map.list_deleted(
    of_type text, of_id text, of_user text, by_whom text, since timestamptz, until timestamptz,
    before_at timestamptz, before_type text, before_id text, max_rows int)
returns table (entity_type text, id text, user_id text, container_id text, deleted_at timestamptz, deleted_by text)
language plpgsql stable set search_path = lethe, pg_temp set row_security = off as $$
#variable_conflict use_column
declare
    nil     constant uuid := '00000000-0000-0000-0000-000000000000';
    most    constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    rank    constant int := array_position(array['user', 'collection', 'sample', 'sample-image'], before_type);
    -- Below which id the rows of the last time are still to be shown: the least means none, the greatest means all.
    users   constant text := case when rank = 1 then before_id else '' end;
    groups  constant uuid := case when rank = 2 then before_id::uuid when rank > 2 then nil else most end;
    samples constant uuid := case when rank = 3 then before_id::uuid when rank > 3 then nil else most end;
    images  constant uuid := case when rank = 4 then before_id::uuid else most end;
    entity  uuid;
begin
    begin
        entity := of_id::uuid;
    exception when invalid_text_representation then
        entity := null;
    end;
    return query
    select found.entity_type, found.id, found.user_id, found.container_id, found.deleted_at, found.deleted_by
    from (
        (select 0 as rank, 'user' as entity_type, u.id, u.id as user_id, null::text as container_id, u.deleted_at, u.deleted_by
         from public.users u
         where (of_type is null or of_type = 'user')
           and u.deleted_at is not null
           and (before_at is null or (u.deleted_at, u.id) < (before_at, users))
           and (by_whom is null or u.deleted_by = by_whom) and (of_user is null or u.id = of_user)
           and (of_id is null or u.id = of_id)
           and (since is null or u.deleted_at >= since) and (until is null or u.deleted_at < until)
         order by u.deleted_at desc, u.id desc limit max_rows)
        union all
        (select 1, 'collection', c.id::text, c.user_id, null, c.deleted_at, c.deleted_by
         from public.collections c
         where (of_type is null or of_type = 'collection')
           and c.deleted_at is not null
           and (before_at is null or (c.deleted_at, c.id) < (before_at, groups))
           and (by_whom is null or c.deleted_by = by_whom) and (of_user is null or c.user_id = of_user)
           and (of_id is null or c.id = entity)
           and (since is null or c.deleted_at >= since) and (until is null or c.deleted_at < until)
         order by c.deleted_at desc, c.id desc limit max_rows)
        union all
        (select 2, 'sample', s.id::text, s.user_id, null, s.deleted_at, s.deleted_by
         from public.samples s
         where (of_type is null or of_type = 'sample')
           and s.deleted_at is not null
           and (before_at is null or (s.deleted_at, s.id) < (before_at, samples))
           and (by_whom is null or s.deleted_by = by_whom) and (of_user is null or s.user_id = of_user)
           and (of_id is null or s.id = entity)
           and (since is null or s.deleted_at >= since) and (until is null or s.deleted_at < until)
         order by s.deleted_at desc, s.id desc limit max_rows)
        union all
        (select 3, 'sample-image', i.id::text, s.user_id, s.id::text, i.deleted_at, i.deleted_by
         from public.sample_images i join public.samples s on s.id = i.sample_id
         where (of_type is null or of_type = 'sample-image')
           and i.deleted_at is not null
           and (before_at is null or (i.deleted_at, i.id) < (before_at, images))
           and (by_whom is null or i.deleted_by = by_whom) and (of_user is null or s.user_id = of_user)
           and (of_id is null or i.id = entity)
           and (since is null or i.deleted_at >= since) and (until is null or i.deleted_at < until)
         order by i.deleted_at desc, i.id desc limit max_rows)
    ) found
    -- Uuids compare as their lower-case text does byte by byte, which is what "C" says.
    order by found.deleted_at desc, found.rank, case when found.rank > 0 then found.id end collate "C" desc,
             case when found.rank = 0 then found.id end desc
    limit max_rows;
end
$$;

-- Tasks are looked up one by one (a scalar subquery with a limit), so that the planner does not read the whole queue.
-- Times in the future are plans, not deletions. An image counts if its sample lives.
create or replace function lethe_map.soft_deleted(
    of_type text, after_at timestamptz, after_id text, max_rows int,
    out last_at timestamptz, out last_id text, out ids text[], out user_ids text[])
language plpgsql stable set search_path = lethe, pg_temp set row_security = off as $$
declare
    least_time constant timestamptz := coalesce(after_at, '-infinity');
    least_id   constant uuid := case when of_type <> 'user' then coalesce(after_id, '00000000-0000-0000-0000-000000000000') end;
begin
    if of_type = 'user' then
        with batch as materialized (
            select u.id, u.deleted_at from public.users u
            where u.deleted_at is not null and u.deleted_at <= now() and (u.deleted_at, u.id) > (least_time, coalesce(after_id, ''))
            order by u.deleted_at, u.id limit max_rows
        ), checked as materialized (
            select b.id, b.deleted_at,
                   (select t.id from lethe.cleanup_tasks t
                    where t.entity_id = b.id and t.kind = 'user-delete' limit 1) is null as is_due
            from batch b
        )
        select max(c.deleted_at), (array_agg(c.id order by c.deleted_at desc, c.id desc))[1],
               array_agg(c.id order by c.deleted_at, c.id) filter (where c.is_due)
        into last_at, last_id, ids from checked c;
        user_ids := ids;
    elsif of_type = 'sample' then
        with batch as materialized (
            select s.id, s.deleted_at from public.samples s
            where s.deleted_at is not null and s.deleted_at <= now() and (s.deleted_at, s.id) > (least_time, least_id)
            order by s.deleted_at, s.id limit max_rows
        ), without_own_task as materialized (
            select b.id, b.deleted_at, case when (
                       select t.id from lethe.cleanup_tasks t
                       where t.entity_id = b.id::text and t.kind = 'sample-delete' limit 1
                   ) is null then (select s.user_id from public.samples s where s.id = b.id) end as user_id
            from batch b
        ), checked as materialized (
            select b.id, b.deleted_at, case when (
                       select t.id from lethe.cleanup_tasks t
                       where t.entity_id = b.user_id and t.kind = 'user-delete' limit 1
                   ) is null then b.user_id end as user_id
            from without_own_task b
        )
        select max(c.deleted_at), (array_agg(c.id::text order by c.deleted_at desc, c.id desc))[1],
               array_agg(c.id::text order by c.deleted_at, c.id) filter (where c.user_id is not null),
               array_agg(c.user_id order by c.deleted_at, c.id) filter (where c.user_id is not null)
        into last_at, last_id, ids, user_ids from checked c;
    elsif of_type = 'sample-image' then
        with batch as materialized (
            select i.id, i.sample_id, i.deleted_at from public.sample_images i
            where i.deleted_at is not null and i.deleted_at <= now() and (i.deleted_at, i.id) > (least_time, least_id)
            order by i.deleted_at, i.id limit max_rows
        ), of_live_sample as materialized (
            select b.id, b.deleted_at,
                   (select s.user_id from public.samples s where s.id = b.sample_id and s.deleted_at is null) as user_id
            from batch b
        ), checked as materialized (
            select b.id, b.deleted_at, case when b.user_id is not null and (
                       select t.id from lethe.cleanup_tasks t
                       where t.entity_id = b.id::text and t.kind = 'image-delete' limit 1
                   ) is null and (
                       select t.id from lethe.cleanup_tasks t
                       where t.entity_id = b.user_id and t.kind = 'user-delete' limit 1
                   ) is null then b.user_id end as user_id
            from of_live_sample b
        )
        select max(c.deleted_at), (array_agg(c.id::text order by c.deleted_at desc, c.id desc))[1],
               array_agg(c.id::text order by c.deleted_at, c.id) filter (where c.user_id is not null),
               array_agg(c.user_id order by c.deleted_at, c.id) filter (where c.user_id is not null)
        into last_at, last_id, ids, user_ids from checked c;
    end if;
    ids := coalesce(ids, '{}');
    user_ids := coalesce(user_ids, '{}');
end
$$;

create or replace function lethe_map.live_users(
    after_id text, created_before timestamptz, max_rows int, out last_id text, out live text[], out too_young bigint)
language plpgsql stable set search_path = lethe, pg_temp set row_security = off as $$
begin
    with batch as materialized (
        select u.id, u.deleted_at, u.created_at from public.users u where u.id > after_id order by u.id limit max_rows
    )
    select max(b.id),
           coalesce(array_agg(b.id order by b.id) filter (where
               b.deleted_at is null and b.created_at < created_before
               and not exists (select from lethe.user_tombstones t where t.user_id = b.id)), '{}'),
           count(*) filter (where b.deleted_at is null and b.created_at >= created_before)
    into last_id, live, too_young from batch b;
end
$$;
