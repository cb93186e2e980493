-- A worker that stops in order can be given nothing any more. Others look once whether it still holds a
-- task, which it does only if it could not hand it back.
-- A claim in flight is waited for.
update cleanup_workers set lost_at = now(), sleeping = false
where id in (select id from cleanup_workers where id = $1 and lost_at is null for update)
