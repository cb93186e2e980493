-- The types of rows that may be deleted alone.
select type as "type!" from lethe_map.types() where is_api
