-- Removes a batch of the notices that ended and whose retention is over. `any (array(…))` chooses them once; `in (…)` could
-- choose again for each row.
delete from lethe.notices where id = any (array(
    select n.id from lethe.notices n
    where n.created_at < clock_timestamp() - make_interval(days => $1)
      and (n.delivered_at is not null or n.given_up_at is not null)
    order by n.created_at limit 10000
    for update skip locked))
