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
