-- The tables of the applied map.
select distinct relation as "relation!" from lethe_map.types() order by 1
