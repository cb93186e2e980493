-- The tasks that were completed, in each of $3 buckets of $2 seconds from $1 on. They are found and estimated as in
-- series_failed.sql, by their numbers in the audit trail. Only the partitions of the days since $1 are searched; for the
-- tasks of a bucket those of its own time, which are one or two.
with recursive ends as materialized (
    select min(audit_id) as first_id, max(audit_id) + 1 as past_id from lethe.finished_tasks
    where finished_at >= date_trunc('day', $1::timestamptz, 'UTC') and finished_at < now() + interval '1 day'
), search (bucket, starts_at, low, high) as (
    select n, $1::timestamptz + n * make_interval(secs => $2::int), first_id, past_id
    from generate_series(0, $3::int) n, ends
    union all
    select s.bucket, s.starts_at,
           case when m.at < s.starts_at then m.middle + 1 else s.low end,
           case when m.at < s.starts_at then s.high else m.middle end
    from search s
    cross join lateral (
        select (s.low + s.high) / 2 as middle,
               (select finished_at from lethe.finished_tasks
                where audit_id >= (s.low + s.high) / 2
                  and finished_at >= date_trunc('day', $1::timestamptz, 'UTC') and finished_at < now() + interval '1 day'
                order by audit_id limit 1) as at
        offset 0
    ) m
    where s.low < s.high
), ranges as (
    select bucket, starts_at, starts_at - interval '1 hour' as earliest,
           starts_at + make_interval(secs => $2::int) + interval '1 hour' as latest,
           low, lead(low) over (order by bucket) as high
    from search where low >= high or low is null
)
select r.starts_at as "at!: Timestamp", c.entries > $4::int as "estimated!",
       (case when c.entries > $4::int then s.completed * p.step else c.completed end)::bigint as "completed!",
       (case when c.entries > $4::int then s.objects_deleted * p.step else c.objects_deleted end)::bigint as "objects_deleted!"
from ranges r
cross join lateral (
    select count(*) as entries, count(*) filter (where f.status = 'completed') as completed,
           coalesce(sum(cardinality(f.object_keys)), 0) as objects_deleted
    from (
        select status, object_keys from lethe.finished_tasks
        where audit_id >= r.low and audit_id < r.high and finished_at >= r.earliest and finished_at < r.latest
        limit $4::int + 1
    ) f
) c
cross join lateral (
    select greatest(1, ceil((r.high - r.low)::numeric / $4::int))::bigint as step
) p
cross join lateral (
    select count(*) filter (where f.status = 'completed') as completed,
           coalesce(sum(cardinality(f.object_keys)), 0) as objects_deleted
    from (
        select part + (hashint8extended(part, 0) & 9223372036854775807) % p.step as id
        from generate_series(r.low, case when c.entries > $4::int then r.high - 1 end, p.step) part
        offset 0
    ) sampled
    cross join lateral (
        select status, object_keys from lethe.finished_tasks
        where audit_id = sampled.id and audit_id < r.high and finished_at >= r.earliest and finished_at < r.latest
        limit 1
    ) f
) s
where r.bucket < $3::int
order by r.bucket
