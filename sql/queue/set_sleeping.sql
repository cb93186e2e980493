-- Records whether this worker wants to be notified.
update lethe.cleanup_workers set sleeping = $2 where id = $1 and sleeping is distinct from $2
