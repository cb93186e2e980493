-- The next batch of soft-deleted rows of type $1 in the order of time and id: those that have neither an open task of
-- their own nor an open erasure of their user, with their users, and the batch's last row.
select last_at as "last_at: DeletedAt", last_id, ids as "ids!", user_ids as "user_ids!"
from lethe_map.soft_deleted($1, $2, $3, 5000)
