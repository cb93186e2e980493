-- The queue. Its states are drawn in ARCHITECTURE.md:
--   pending ─► running ─► completed        failed: tried again at scheduled_at
--      │          ├─────► failed ─► running
--      │          └─────► dead             a person must look; retry makes it pending
--      └────────────────► cancelled        restored before cleanup began

-- The open tasks. A finished one moves to lethe.finished_tasks (0003), so this table stays small; the view
-- lethe.tasks shows both.
create table lethe.cleanup_tasks (
    id           bigint generated always as identity primary key,
    kind         text not null,
    entity_type  text not null,
    entity_id    text not null,
    user_id      text not null,
    -- The objects that remain to be deleted.
    object_keys  text[] not null default '{}',
    -- The rows that name these objects, by type and primary key. A settle removes exactly these rows.
    row_type     text,
    row_ids      text[] not null default '{}',
    status       text not null default 'pending',
    -- 0: small work. 1: bulk (many keys, or slow rows), so that it cannot make small work wait.
    -- 2: quarantine, for what crashed its worker twice: taken one at a time.
    lane         smallint not null default 0,
    attempts     int not null default 0,
    -- clock_timestamp, not now(): a claim never looks behind the last due time it saw for long.
    scheduled_at timestamptz not null default clock_timestamp(),
    last_error   text,
    error_class  text,
    -- Why a pending task is not claimed until a person decides.
    held_reason  text,
    lease_owner  text,
    -- The fence: it only grows, one for each claim; every later write carries it. 0: never claimed.
    lease_token  bigint not null default 0,
    -- The root of the erasure that this task is a part of. No foreign key: it would look for children at the end of
    -- each task. A root ends after its parts.
    parent_id    bigint,
    -- The span of the request that asked for it, as W3C Trace Context writes it; null if the request was not traced.
    trace_parent text default nullif(current_setting('lethe.trace_parent', true), ''),
    -- Where a user's erasure stands: `rows` (the root itself names all rows), `plan`, `parts` (waiting for them) or
    -- `remove` (the rows without objects), and the last row that the phase has dealt with.
    phase        text,
    plan_cursor  text[],
    -- The rows that this deletion soft-deleted before it was claimed, by type: what a restore or a cancellation makes live.
    marked       jsonb,
    -- Rows that stay for a reason of the map: [{"type", "rows", "why"}].
    kept_rows    jsonb,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    -- Always null here. It stands here for the columns of the view lethe.tasks.
    finished_at  timestamptz,
    is_dead      boolean not null generated always as (status = 'dead') stored,
    constraint cleanup_tasks_kind_known check (kind in ('sample-delete', 'image-delete', 'entity-delete', 'user-delete', 'user-delete-part')),
    constraint cleanup_tasks_status_known check (status in ('pending', 'running', 'failed', 'dead')),
    constraint cleanup_tasks_error_class_known
        check (error_class in ('transient', 'throttle', 'outage', 'blocked', 'permanent', 'crash')),
    constraint cleanup_tasks_failed_says_why check (status <> 'failed' or error_class is not null),
    constraint cleanup_tasks_attempts_not_negative check (attempts >= 0),
    constraint cleanup_tasks_owned_while_running check ((status = 'running') = (lease_owner is not null)),
    constraint cleanup_tasks_held_while_pending check (held_reason is null or status = 'pending'),
    constraint cleanup_tasks_phase_of_roots check (case when phase is null then kind <> 'user-delete'
                                                        else kind in ('user-delete', 'entity-delete') end),
    constraint cleanup_tasks_phase_known check (phase in ('rows', 'plan', 'parts', 'remove')),
    constraint cleanup_tasks_rows_have_a_type check (row_type is not null or row_ids = '{}'),
    constraint cleanup_tasks_is_open check (finished_at is null)
) with (
    -- Every claim and settle leaves a dead version: vacuum early and without pauses. A queue of millions
    -- must not wait for a fifth of it to be dead (the default). Half of each page stays free, so that a
    -- claim of every task on it finds room there and touches no index.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

-- No index names status, lease_owner, lease_token or attempts, nor does a predicate: what a claim changes
-- stands in no index, so a claim is a HOT update (measured: a fifth of the cost of one that is not). `is_dead`
-- changes only when a person must look.

-- The claim reads this index from its left end (or the watermark): its key is exactly the claim's order.
-- Running tasks stand in it too; they are what the claims of the last moments took.
create index cleanup_tasks_ready_idx on lethe.cleanup_tasks (lane, scheduled_at, id)
    where not is_dead and held_reason is null;
-- One open task for an entity and kind; parts may be many. Rows of two types may have the same id.
create unique index cleanup_tasks_one_open_key on lethe.cleanup_tasks (entity_id, kind, entity_type)
    where kind <> 'user-delete-part';
-- A user's tasks; their entity_id is user_id, but for samples.
create index cleanup_tasks_user_id_idx on lethe.cleanup_tasks (user_id, id);
-- The oldest erasure that is not finished.
create index cleanup_tasks_open_roots_idx on lethe.cleanup_tasks (created_at) where kind = 'user-delete';
-- "Is any part of this erasure left?"
create index cleanup_tasks_parent_id_idx on lethe.cleanup_tasks (parent_id, id) where parent_id is not null;
-- What a person must look at.
create index cleanup_tasks_dead_idx on lethe.cleanup_tasks (id) where is_dead;
create index cleanup_tasks_held_idx on lethe.cleanup_tasks (id) where held_reason is not null;
-- What failed and is tried again (a claim keeps the class, a settle changes it).
create index cleanup_tasks_errors_idx on lethe.cleanup_tasks (id) where error_class is not null;

comment on table lethe.cleanup_tasks is 'Deletions that were promised and are not finished. A row leaves this table when it is completed or cancelled.';

-- One row for each worker process and boot. Its beat renews all of its leases at once, without
-- touching a task. No index but the key: every beat is a HOT update.
create table lethe.cleanup_workers (
    id         text primary key,
    started_at timestamptz not null default now(),
    expires_at timestamptz not null,
    -- Set by itself when it leaves, or by others when its lease is out. A lost worker can never beat or
    -- claim again: it needs a new id.
    lost_at    timestamptz,
    -- All tasks that it held were taken up. Nothing can be added after lost_at.
    rescued_at timestamptz,
    -- About to sleep, or asleep: a NOTIFY is wanted.
    sleeping   boolean not null default true
) with (fillfactor = 50, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

-- NOTIFY takes a lock of the whole cluster at commit, so it is sent only when somebody sleeps.
create function lethe.wake_sleepers() returns trigger
language plpgsql set search_path = lethe, pg_temp as $$
begin
    if exists (select from lethe.cleanup_workers where sleeping and expires_at > now()) then
        perform pg_notify('cleanup_tasks', '');
    end if;
    return null;
end
$$;

create trigger cleanup_tasks_inserted after insert on lethe.cleanup_tasks
    for each statement execute function lethe.wake_sleepers();
-- Fires only for statements that set scheduled_at: a release, a retry, a failure; never a claim.
create trigger cleanup_tasks_rescheduled after update of scheduled_at on lethe.cleanup_tasks
    for each statement execute function lethe.wake_sleepers();
