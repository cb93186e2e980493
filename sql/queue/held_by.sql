-- The next batch of a lane's open tasks after ($2, $3), and which of them these lost workers hold. Running
-- tasks stand at the left of the index, for they were due; the hour allows for clocks of former primaries.
with batch as materialized (
    select id, scheduled_at, lease_owner from lethe.cleanup_tasks
    where finished_at is null and not is_dead and lane = $1
      and (scheduled_at, id) > ($2, $3) and scheduled_at <= now() + interval '1 hour'
    order by scheduled_at, id limit $5
)
select (select count(*) from batch) as "scanned!",
    (select scheduled_at from batch order by scheduled_at desc, id desc limit 1) as last_time,
    (select id from batch order by scheduled_at desc, id desc limit 1) as last_id,
    coalesce((select array_agg(id order by id) from batch where lease_owner = any ($4)), '{}') as "held!"
