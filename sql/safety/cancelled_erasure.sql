-- The last erasure of a user that was cancelled, for the receipt of somebody who has no tombstone any more.
select asked.at as "requested_at!: Timestamp", asked.actor as "requested_by!"
from lethe.cleanup_audit cancelled
join lethe.cleanup_audit asked on asked.task_id = cancelled.task_id and asked.event = 'user-deletion-requested'
where cancelled.user_id = $1 and cancelled.event = 'erasure-cancelled'
order by cancelled.id desc limit 1
