-- Whether sqlx's record of migrations is there, and whether this role may read it.
select to_regclass('lethe._sqlx_migrations') is not null as "is_there!",
       coalesce(has_table_privilege(to_regclass('lethe._sqlx_migrations'), 'select'), false) as "may_read!"
