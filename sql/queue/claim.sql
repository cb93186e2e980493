-- Claims due tasks of the kinds $8, at most $5, $6 and $7 of the lanes, in order of due time and id, from each
-- lane's watermark on. The materialized CTE makes LIMIT hold. A worker whose own lease has expired claims
-- nothing, and nobody claims while claiming is paused. While it claims it cannot be declared lost: its row is locked, by
-- a lock that its own heartbeats pass.
with me as materialized (
    select id from lethe.cleanup_workers where id = $1 and lost_at is null and expires_at > now() for key share
), due as materialized (
    select id from (
        select id from lethe.cleanup_tasks
        where not is_dead and held_reason is null and status in ('pending', 'failed') and lane = 0
          and scheduled_at >= $2 and scheduled_at <= now() and kind = any ($8)
          and (select paused_at from lethe.settings) is null
        order by scheduled_at, id limit $5
        for update skip locked
    ) lane_0
    union all
    select id from (
        select id from lethe.cleanup_tasks
        where not is_dead and held_reason is null and status in ('pending', 'failed') and lane = 1
          and scheduled_at >= $3 and scheduled_at <= now() and kind = any ($8)
          and (select paused_at from lethe.settings) is null
        order by scheduled_at, id limit $6
        for update skip locked
    ) lane_1
    union all
    select id from (
        select id from lethe.cleanup_tasks
        where not is_dead and held_reason is null and status in ('pending', 'failed') and lane = 2
          and scheduled_at >= $4 and scheduled_at <= now() and kind = any ($8)
          and (select paused_at from lethe.settings) is null
        order by scheduled_at, id limit $7
        for update skip locked
    ) lane_2
)
update lethe.cleanup_tasks t
set status = 'running', attempts = t.attempts + 1, lease_token = t.lease_token + 1,
    lease_owner = me.id, updated_at = now()
from due, me
where t.id = due.id
returning t.id as "id!: TaskId", t.kind as "kind!: TaskKind", t.lane as "lane!", t.entity_id as "entity_id!",
    t.user_id as "user_id!: UserId", t.object_keys as "object_keys!", t.row_type, t.phase, t.attempts as "attempts!",
    t.lease_token as "lease_token!", t.scheduled_at as "scheduled_at!", t.parent_id as "parent_id: TaskId",
    coalesce(t.trace_parent, (select r.trace_parent from lethe.cleanup_tasks r where r.id = t.parent_id)) as trace_parent,
    extract(epoch from clock_timestamp() - t.scheduled_at)::float8 as "waited_seconds!"
