-- The newest notices that are not delivered.
select n.id, n.type as kind, n.created_at as "created_at: Timestamp", n.attempts, n.last_error,
       n.next_try_at as "next_try_at: Timestamp", n.given_up_at is not null as "given_up!"
from lethe.notices n where n.delivered_at is null
order by n.created_at desc limit $1
