-- The last erasure of a user that was cancelled, for the receipt of somebody who has no tombstone any more. It removed
-- nothing of any type.
select cancelled.requested_at as "requested_at!: Timestamp", cancelled.requested_by as "requested_by!",
       (select coalesce(jsonb_object_agg(t.plural, 0), '{}') from lethe_map.types() t) as "rows_deleted!"
from lethe.cleanup_audit cancelled
where cancelled.user_id = $1 and cancelled.event = 'erasure-cancelled'
order by cancelled.id desc limit 1
