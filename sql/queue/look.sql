-- What a worker does once in a poll interval, idle or not, in one statement: renews every lease of its own
-- ($1, for $2 seconds), declares those lost whose lease is out (unless $3 is false: after a gap of our own
-- everybody looks lost), and asks whether there is anything to rescue or to claim.
with beat as (
    update cleanup_workers set expires_at = now() + make_interval(secs => $2)
    where id = $1 and lost_at is null
    returning id
), lost as (
    update cleanup_workers set lost_at = now()
    where id in (select id from cleanup_workers
                 where $3 and id <> $1 and lost_at is null and expires_at < now()
                 for update skip locked)
    returning id
)
select exists (select from beat) as "renewed!",
    (select count(*) from cleanup_workers where lost_at is null and expires_at > now()) as "alive!",
    (select count(*) from lost) as "newly_lost!",
    (exists (select from lost)
        or exists (select from cleanup_workers where lost_at is not null and rescued_at is null)) as "to_rescue!",
    exists (select from (values (0::smallint), (1::smallint), (2::smallint)) as l (lane)
            cross join lateral (
                select from cleanup_tasks
                where finished_at is null and not is_dead and status in ('pending', 'failed')
                  and lane = l.lane and scheduled_at <= now()
                order by scheduled_at, id limit 1) due) as "due!"
