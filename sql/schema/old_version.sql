-- Whether the database was migrated by Lethe 0.1, whose own tables stood in schema public.
select to_regclass('public.cleanup_tasks') is not null and to_regclass('lethe.cleanup_tasks') is null as "is_old!"
