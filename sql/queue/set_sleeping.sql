-- Says that this worker wants to be notified, or not.
update cleanup_workers set sleeping = $2 where id = $1 and sleeping is distinct from $2
