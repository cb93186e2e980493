-- Whether the erasure of this user waits for a person to release or cancel it.
select exists (select from lethe.cleanup_tasks
               where entity_id = $1 and kind = 'user-delete' and held_reason is not null) as "is_held!"
