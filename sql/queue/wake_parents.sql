-- The last part of a task wakes its parent. Run after the commit of the parts: of two that end at the same
-- moment, the later one sees both. (The parent wakes by itself too, so a lost wake-up costs a minute.)
update lethe.cleanup_tasks parent
set scheduled_at = clock_timestamp(), updated_at = now()
where parent.id = any ($1) and parent.status = 'pending'
  and not exists (select from lethe.cleanup_tasks part
                  where part.parent_id = parent.id)
