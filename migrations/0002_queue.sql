-- The queue. Its states are drawn in ARCHITECTURE.md:
--   pending ─► running ─► completed        failed: tried again at scheduled_at
--      │          ├─────► failed ─► running
--      │          └─────► dead             a person must look; retry makes it pending
--      └────────────────► cancelled        restored before cleanup began

create table cleanup_tasks (
    id           bigint generated always as identity primary key,
    kind         text not null,
    entity_type  text not null,
    entity_id    text not null,
    user_id      text not null,
    -- What remains to be deleted. Empty in a completed task: the audit holds what went.
    object_keys  text[] not null default '{}',
    status       text not null default 'pending',
    -- 0: small work. 1: bulk (many keys), so that it cannot make small work wait.
    -- 2: quarantine, for what crashed its worker twice: taken one at a time.
    lane         smallint not null default 0,
    attempts     int not null default 0,
    -- clock_timestamp, not now(): a claim never looks behind the last due time it saw for long.
    scheduled_at timestamptz not null default clock_timestamp(),
    last_error   text,
    error_class  text,
    lease_owner  text,
    -- The fence: it only grows, one for each claim; every later write carries it. 0: never claimed.
    lease_token  bigint not null default 0,
    parent_id    bigint references cleanup_tasks (id) on delete cascade,
    -- Where the planning of a user's erasure stands: {sample, image}. Null when no pass is open.
    plan_cursor  uuid[],
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    finished_at  timestamptz,
    constraint cleanup_tasks_kind_known check (kind in ('sample-delete', 'user-delete', 'user-delete-part')),
    constraint cleanup_tasks_entity_type_known check (entity_type in ('user', 'collection', 'sample', 'sample-image')),
    constraint cleanup_tasks_status_known
        check (status in ('pending', 'running', 'failed', 'completed', 'dead', 'cancelled')),
    constraint cleanup_tasks_error_class_known
        check (error_class in ('transient', 'throttle', 'outage', 'blocked', 'permanent', 'crash')),
    constraint cleanup_tasks_attempts_not_negative check (attempts >= 0),
    constraint cleanup_tasks_owned_while_running check ((status = 'running') = (lease_owner is not null)),
    constraint cleanup_tasks_finished_at_says_so
        check ((status in ('completed', 'cancelled')) = (finished_at is not null)),
    constraint cleanup_tasks_done_means_nothing_left check (status <> 'completed' or object_keys = '{}')
) with (
    -- Every claim and settle leaves a dead version: vacuum early and without pauses, and leave room
    -- on the page. A queue of millions must not wait for a fifth of it to be dead (the default).
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

-- The claim reads this index from its left end (or the watermark): its key is exactly the claim's order.
create index cleanup_tasks_ready_idx on cleanup_tasks (lane, scheduled_at, id)
    where status in ('pending', 'failed');
-- Whose leases are out: the rescue of a dead worker's tasks.
create index cleanup_tasks_running_idx on cleanup_tasks (lease_owner, id) where status = 'running';
-- One open task for an entity and kind; finished ones and parts may be many. Serves entity filters too.
create unique index cleanup_tasks_one_open_key on cleanup_tasks (
    entity_id, kind,
    (case when kind = 'user-delete-part' or status in ('completed', 'cancelled') then id else 0 end)
);
create index cleanup_tasks_user_id_idx on cleanup_tasks (user_id, id);
-- "Is any part of this erasure left?"
create index cleanup_tasks_parent_id_idx on cleanup_tasks (parent_id, id) where parent_id is not null;
create index cleanup_tasks_open_parts_idx on cleanup_tasks (parent_id)
    where parent_id is not null and status not in ('completed', 'cancelled');
-- What a person must look at.
create index cleanup_tasks_dead_idx on cleanup_tasks (id) where status = 'dead';
-- Pruning, oldest first.
create index cleanup_tasks_finished_idx on cleanup_tasks (finished_at) where finished_at is not null;

comment on table cleanup_tasks is 'Deletions that were promised. A row leaves this table only after it is completed or cancelled.';

-- One row for each worker process and boot. Its beat renews all of its leases at once, without
-- touching a task. No index but the key: every beat is a HOT update.
create table cleanup_workers (
    id         text primary key,
    started_at timestamptz not null default now(),
    expires_at timestamptz not null,
    -- Set by whoever took its tasks away. A lost worker can never beat again: it needs a new id.
    lost_at    timestamptz,
    -- About to sleep, or asleep: a NOTIFY is wanted.
    sleeping   boolean not null default true
) with (fillfactor = 50, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

-- NOTIFY takes a lock of the whole cluster at commit, so it is sent only when somebody sleeps.
create function lethe_wake_sleepers() returns trigger
language plpgsql set search_path from current as $$
begin
    if exists (select from cleanup_workers where sleeping and expires_at > now()) then
        perform pg_notify('cleanup_tasks', '');
    end if;
    return null;
end
$$;

create trigger cleanup_tasks_inserted after insert on cleanup_tasks
    for each statement execute function lethe_wake_sleepers();
-- Fires only for statements that set scheduled_at: a release, a retry, a failure; never a claim.
create trigger cleanup_tasks_rescheduled after update of scheduled_at on cleanup_tasks
    for each statement execute function lethe_wake_sleepers();
