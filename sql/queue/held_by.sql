-- The next bite of a lane's open tasks after ($2, $3), and which of them these lost workers hold. Running
-- tasks stand at the left of the index, for they were due; the hour allows for clocks of former primaries.
with bite as materialized (
    select id, scheduled_at, lease_owner from cleanup_tasks
    where finished_at is null and not is_dead and lane = $1
      and (scheduled_at, id) > ($2, $3) and scheduled_at <= now() + interval '1 hour'
    order by scheduled_at, id limit $5
)
select (select count(*) from bite) as "looked_at!",
    (select scheduled_at from bite order by scheduled_at desc, id desc limit 1) as last_time,
    (select id from bite order by scheduled_at desc, id desc limit 1) as last_id,
    coalesce((select array_agg(id order by id) from bite where lease_owner = any ($4)), '{}') as "held!"
