-- Whether this role may read which map is applied, and use its functions.
select coalesce(has_table_privilege(to_regclass('lethe.maps')::oid, 'select'), false)
       and coalesce(has_schema_privilege(to_regnamespace('lethe_map')::oid, 'usage'), false) as "may_read!"
