-- The object that v.value names; the same as object_key() in helpers.sql. What follows a base is decoded once, and
-- is foreign if its bytes are no UTF-8.
select coalesce(d.key, v.value) as key, x.is_url and d.key is null as is_foreign
from (select w.url, w.url ~ '^[A-Za-z][A-Za-z0-9+.-]*://' as is_url, substring(w.url from '^[^/]*//[^/?#]*') as origin
      from (select case when v.value like '//%' then 'https:' else '' end || v.value as url) w) x
left join lateral (
    select substr(r.rest, length(b.path) + 1) as encoded
    from (select regexp_replace(substr(x.url, length(x.origin) + 1), '[?#].*$', '') as rest) r
    cross join bases() with ordinality b (origin, path, place)
    where x.is_url and lower(x.origin) = b.origin and starts_with(r.rest, b.path)
    order by b.place limit 1
) e on true
left join lateral (
    select case when encode(c.bytes, 'hex') ~ ('^(0[1-9a-f]|[1-7][0-9a-f]|(c[2-9a-f]|d[0-9a-f])[89ab][0-9a-f]'
                || '|(e0[ab]|e[1-9abcef][89ab]|ed[89])[0-9a-f][89ab][0-9a-f]'
                || '|(f0[9ab]|f[123][89ab]|f48)[0-9a-f]([89ab][0-9a-f]){2})*$')
           then convert_from(c.bytes, 'UTF8') end as key
    from (select coalesce(string_agg(case when m.parts[1] ~ '^%[0-9A-Fa-f]{2}$' then decode(substr(m.parts[1], 2), 'hex')
                                     else convert_to(m.parts[1], 'UTF8') end, ''::bytea order by m.at), '') as bytes
          from regexp_matches(e.encoded, '%[0-9A-Fa-f]{2}|[^%]+|%', 'g') with ordinality m (parts, at)) c
    where e.encoded is not null
) d on true
where v.value <> '' and coalesce(d.key, v.value) <> ''
