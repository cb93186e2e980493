-- The next batch of a lane's open tasks after ($2, $3), and which of them these lost workers ($4) hold, or workers
-- that have no row. Running
-- tasks stand at the left of the index, for they were due; the hour allows for clocks of former primaries.
with batch as materialized (
    select id, scheduled_at, lease_owner from lethe.cleanup_tasks
    where not is_dead and held_reason is null and lane = $1
      and (scheduled_at, id) > ($2, $3) and scheduled_at <= now() + interval '1 hour'
    order by scheduled_at, id limit $5
)
select (select count(*) from batch) as "scanned!",
    (select scheduled_at from batch order by scheduled_at desc, id desc limit 1) as last_time,
    (select id from batch order by scheduled_at desc, id desc limit 1) as last_id,
    coalesce((select array_agg(b.id order by b.id) from batch b
              where b.lease_owner = any ($4)
                 or (b.lease_owner is not null
                     and not exists (select from lethe.cleanup_workers w where w.id = b.lease_owner))), '{}') as "held!"
