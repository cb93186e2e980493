-- The first due task of each lane (0, 1, 2) and of the kinds $2, from the lane's due time of $1 on. With it the
-- database's time, and how long the scan took there. heartbeat.sql asks the same.
select now() as "now!",
    array(select (select t.scheduled_at from lethe.cleanup_tasks t
                  where not t.is_dead and t.held_reason is null and t.status in ('pending', 'failed')
                    and t.lane = (l.ordinal - 1)::smallint
                    and t.scheduled_at >= l.watermark and t.scheduled_at <= now()
                    and t.kind = any ($2)
                  order by t.scheduled_at, t.id limit 1)
          from unnest($1::timestamptz[]) with ordinality as l (watermark, ordinal)
          order by l.ordinal) as "first!: Vec<Option<DateTime<Utc>>>",
    extract(epoch from clock_timestamp() - statement_timestamp())::float8 as "took_seconds!"
