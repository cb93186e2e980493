-- The types of the applied map, the user among them even if there is no table of users.
select t.type as "type!" from lethe_map.types() t
union all
select 'user' where not exists (select from lethe_map.types() t where t.type = 'user')
