-- Renews every lease of this worker at once, unless somebody took its tasks away. Also counts the
-- workers that are alive, for each one's share of the delete rate.
update cleanup_workers
set expires_at = now() + make_interval(secs => $2)
where id = $1 and lost_at is null
returning (select count(*) from cleanup_workers where lost_at is null and expires_at > now()) as "alive!"
