-- Everything that is emitted or compared is named with its schema: with this search path format_type() leaves the
-- schema out for PostgreSQL's own types only. What is there already is no news.
select set_config('search_path', 'pg_catalog, pg_temp', true) as "search_path!",
       set_config('client_min_messages', 'warning', true) as "messages!"
