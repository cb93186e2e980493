-- The attempts that failed or did a part of their work, in each of $3 buckets of $2 seconds from $1 on. The audit trail
-- has no index by time, and needs none: its ids grow with time, so the first id of each bucket is found by binary search
-- over the primary key. Up to $4 entries of a bucket are counted. More are estimated from one id of each of $4 equal parts
-- of the bucket's ids, so that the cost has a limit whatever the number of entries. Which id is taken depends on the part
-- by a hash: entries repeat in a pattern, and a fixed step would always meet the same place of it.
with recursive ends as materialized (
    select min(id) as first_id, max(id) + 1 as past_id from lethe.cleanup_audit
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
               (select at from lethe.cleanup_audit where id >= (s.low + s.high) / 2 order by id limit 1) as at
        offset 0
    ) m
    where s.low < s.high
), ranges as (
    select bucket, low, lead(low) over (order by bucket) as high from search where low >= high or low is null
)
select c.entries > $4::int as "estimated!",
       (case when c.entries > $4::int then s.failed * p.step else c.failed end)::bigint as "failed!",
       (case when c.entries > $4::int then s.dead * p.step else c.dead end)::bigint as "dead!",
       (case when c.entries > $4::int then s.objects_deleted * p.step else c.objects_deleted end)::bigint as "objects_deleted!"
from ranges r
cross join lateral (
    select count(*) as entries,
           count(*) filter (where a.event = 'task-failed') as failed,
           count(*) filter (where a.event = 'task-dead') as dead,
           coalesce(sum(cardinality(a.object_keys)), 0) as objects_deleted
    from (
        select event, object_keys from lethe.cleanup_audit
        where id >= r.low and id < r.high and event in ('task-continued', 'task-failed', 'task-dead')
        limit $4::int + 1
    ) a
) c
cross join lateral (
    select greatest(1, ceil((r.high - r.low)::numeric / $4::int))::bigint as step
) p
cross join lateral (
    select count(*) filter (where a.event = 'task-failed') as failed,
           count(*) filter (where a.event = 'task-dead') as dead,
           coalesce(sum(cardinality(a.object_keys)), 0) as objects_deleted
    from (
        select part + (hashint8extended(part, 0) & 9223372036854775807) % p.step as id
        from generate_series(r.low, case when c.entries > $4::int then r.high - 1 end, p.step) part
        offset 0
    ) sampled
    cross join lateral (
        select event, object_keys from lethe.cleanup_audit
        where id = sampled.id and id < r.high and event in ('task-continued', 'task-failed', 'task-dead')
        limit 1
    ) a
) s
where r.bucket < $3::int
order by r.bucket
