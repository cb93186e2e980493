-- Whether the tables and functions that the service needs are there.
select (to_regclass('cleanup_tasks') is not null and to_regclass('cleanup_workers') is not null
        and to_regclass('user_tombstones') is not null and to_regclass('webhook_events') is not null
        and to_regprocedure('lethe_delete_user(text, text)') is not null) as "migrated!"
