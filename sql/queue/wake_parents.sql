-- The last part of a task wakes its parent. Run after the commit of the parts: of two that end at the same
-- moment, the later one sees both. (The parent wakes by itself too, so a lost wake-up costs a minute.) Without $2 parts
-- that failed or are dead do not hold it up: it goes on with what does not hang on them.
update lethe.cleanup_tasks parent
set scheduled_at = clock_timestamp(), updated_at = now()
where parent.id = any ($1) and parent.status = 'pending'
  and not exists (select from lethe.cleanup_tasks part
                  where part.parent_id = parent.id and ($2 or part.status in ('pending', 'running')))
