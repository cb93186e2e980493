-- Deregisters a worker that stops in order: it can claim nothing any more. Others scan once for tasks that it
-- still holds, which are only those that it could not release. A claim in flight is waited for.
update lethe.cleanup_workers set lost_at = now(), sleeping = false
where id in (select id from lethe.cleanup_workers where id = $1 and lost_at is null for update)
