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
