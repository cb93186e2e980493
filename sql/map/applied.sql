-- Whether this database keeps the maps that were applied to it, and this role may read them.
select coalesce(has_table_privilege(to_regclass('lethe.maps')::oid, 'select'), false) as "may_read!"
