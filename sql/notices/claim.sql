-- Takes due notices for one delivery each, for workers with the endpoint that holds now. $2: seconds until another
-- worker may take them.
with due as materialized (
    select n.id from lethe.notices n
    where n.delivered_at is null and n.given_up_at is null and n.next_try_at <= clock_timestamp()
      and exists (select from lethe.notice_settings s where s.disabled_at is null and s.endpoint = $3)
    order by n.next_try_at, n.id limit $1
    for update skip locked
)
update lethe.notices n
set attempts = n.attempts + 1, next_try_at = clock_timestamp() + make_interval(secs => $2)
from due where n.id = due.id
returning n.id, n.type as kind, n.created_at as "created_at: Timestamp", n.data, n.attempts
