-- The heartbeat of a worker, once in a poll interval, idle or not, in one statement. It renews every lease of the
-- worker ($1, for $2 seconds). It declares workers lost whose lease has expired, unless $3 is false: after a gap
-- in our own heartbeats all leases look expired. It finds whether there is anything to rescue or to claim; what
-- is due is asked as in first_due.sql, from the due times $4 on, of the kinds $5.
with beat as (
    update lethe.cleanup_workers set expires_at = now() + make_interval(secs => $2)
    where id = $1 and lost_at is null
    returning id
), lost as (
    update lethe.cleanup_workers set lost_at = now()
    where id in (select id from lethe.cleanup_workers
                 where $3 and id <> $1 and lost_at is null and expires_at < now()
                 for update skip locked)
    returning id
)
select exists (select from beat) as "renewed!",
    (select count(*) from lethe.cleanup_workers where lost_at is null and expires_at > now()) as "alive!",
    (select count(*) from lost) as "newly_lost!",
    (exists (select from lost)
        or exists (select from lethe.cleanup_workers where lost_at is not null and rescued_at is null)) as "to_rescue!",
    now() as "now!",
    array(select (select t.scheduled_at from lethe.cleanup_tasks t
                  where not t.is_dead and t.held_reason is null and t.status in ('pending', 'failed')
                    and t.lane = (l.ordinal - 1)::smallint
                    and t.scheduled_at >= l.watermark and t.scheduled_at <= now()
                    and t.kind = any ($5)
                  order by t.scheduled_at, t.id limit 1)
          from unnest($4::timestamptz[]) with ordinality as l (watermark, ordinal)
          order by l.ordinal) as "first_due!: Vec<Option<DateTime<Utc>>>",
    extract(epoch from clock_timestamp() - statement_timestamp())::float8 as "took_seconds!"
