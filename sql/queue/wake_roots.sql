-- The last part of an erasure wakes its root. Run after the commit of the parts: of two that end at the
-- same moment, the later one sees both. (The root looks by itself too, so a lost wake-up costs a minute.)
update cleanup_tasks root
set scheduled_at = clock_timestamp(), updated_at = now()
where root.id = any ($1) and root.status = 'pending'
  and not exists (select from cleanup_tasks part
                  where part.parent_id = root.id and part.finished_at is null)
