-- What was asked, what was deleted, by whom and when. Two tables, both append-only, with one numbering: a finished
-- task is its own record (lethe.finished_tasks), everything else is an entry of lethe.cleanup_audit. The view
-- lethe.audit shows both.

create table lethe.cleanup_audit (
    id             bigint generated always as identity primary key,
    at             timestamptz not null default now(),
    event          text not null,
    -- Who asked: `clerk:user.deleted`, `user:<id>`, `admin:<name>`, what SQL passed, or null for a worker's own acts.
    actor          text,
    worker         text,
    task_id        bigint,
    kind           text,
    entity_type    text,
    entity_id      text,
    user_id        text,
    attempt        int,
    -- Objects that the store confirmed to be gone, and objects kept because a live image names them.
    object_keys    text[] not null default '{}',
    kept_keys      text[] not null default '{}',
    -- Rows removed, by type: {"sample": ["…"]}.
    rows_removed   jsonb,
    error_class    text,
    -- An error, a reason that an admin gave.
    detail         text,
    constraint cleanup_audit_event_known check (event in (
        'user-deletion-requested', 'sample-deletion-requested', 'image-deletion-requested', 'sample-restored',
        'task-continued', 'task-failed', 'task-dead', 'task-retried'))
);

create index cleanup_audit_task_id_idx on lethe.cleanup_audit (task_id, id) where task_id is not null;
create index cleanup_audit_user_id_idx on lethe.cleanup_audit (user_id, id) where user_id is not null;
-- The tasks of a sample or an image, finished ones too.
create index cleanup_audit_entity_idx on lethe.cleanup_audit (entity_id, task_id)
    where event in ('sample-deletion-requested', 'image-deletion-requested', 'entity-deletion-requested');

create function lethe.refuse_audit_change() returns trigger
language plpgsql set search_path = lethe, pg_temp as $$
begin
    -- Retention is a decision of its own, taken by a role of its own. Only the finished tasks that have no partition
    -- of their own are removed row by row.
    if tg_op = 'DELETE' and (current_user = 'lethe_retention' or tg_table_name = 'finished_tasks_other') then
        return old;
    end if;
    raise exception '% is append-only', tg_table_name
        using errcode = 'insufficient_privilege',
              hint = 'Old rows are removed by the role lethe_retention alone.';
end
$$;

create trigger cleanup_audit_append_only before update or delete on lethe.cleanup_audit
    for each row execute function lethe.refuse_audit_change();
create trigger cleanup_audit_no_truncate before truncate on lethe.cleanup_audit
    for each statement execute function lethe.refuse_audit_change();

-- A completed or cancelled task, with what it deleted. It is written once, when the task leaves
-- lethe.cleanup_tasks, and dropped with its day's partition (CLEANUP_RETENTION_DAYS).
create table lethe.finished_tasks (
    -- Its number in the audit trail.
    audit_id     bigint not null default nextval('lethe.cleanup_audit_id_seq'),
    id           bigint not null,
    kind         text not null,
    entity_type  text not null,
    entity_id    text not null,
    user_id      text not null,
    parent_id    bigint,
    status       text not null,
    attempts     int not null,
    scheduled_at timestamptz not null,
    created_at   timestamptz not null,
    finished_at  timestamptz not null default now(),
    worker       text,
    -- Objects that the store confirmed to be gone, and objects that stay. A cancelled task keeps all of its own.
    object_keys  text[] not null,
    kept_keys    text[] not null,
    -- Rows removed: those that named the objects, and others by type: {"sample": ["…"]}.
    row_type     text,
    row_ids      text[] not null,
    more_rows    jsonb,
    -- Rows that stay for a reason of the map: [{"type", "rows", "why"}].
    kept_rows    jsonb,
    constraint finished_tasks_status_known check (status in ('completed', 'cancelled'))
) partition by range (finished_at);

create index finished_tasks_audit_id_idx on lethe.finished_tasks (audit_id);
create index finished_tasks_id_idx on lethe.finished_tasks (id);
create index finished_tasks_user_id_idx on lethe.finished_tasks (user_id, id);
-- The last hour, from the order of time in which the rows stand.
create index finished_tasks_finished_at_idx on lethe.finished_tasks using brin (finished_at);
-- Erasures among thousands of other tasks.
create index finished_tasks_erasures_idx on lethe.finished_tasks (audit_id) where kind = 'user-delete';
create index finished_tasks_cancelled_idx on lethe.finished_tasks (id) where status = 'cancelled';

-- For a moment that has no partition of its own, so that no settle can fail for the lack of one.
create table lethe.finished_tasks_other partition of lethe.finished_tasks default;

create trigger finished_tasks_append_only before update or delete on lethe.finished_tasks
    for each row execute function lethe.refuse_audit_change();

-- Makes the partitions of today and the next days, each for one day in UTC. A partition is filled apart and attached,
-- which does not lock the table against settles. Returns the number of new ones.
create function lethe.make_partitions(days_ahead int) returns int
language plpgsql security definer set search_path = lethe, pg_temp set lock_timeout = '1s' as $$
declare
    first date := (now() at time zone 'utc')::date;
    day   date;
    name  text;
    made  int := 0;
begin
    if not pg_try_advisory_xact_lock(1819567208, -1) then
        return 0;
    end if;
    for day in select first + n from generate_series(0, days_ahead) as n loop
        name := 'finished_tasks_' || to_char(day, 'YYYYMMDD');
        continue when to_regclass('lethe.' || name) is not null;
        -- Rows of that day may stand in the default partition already; then it keeps the day.
        continue when exists (
            select from lethe.finished_tasks_other
            where finished_at >= day::timestamp at time zone 'utc'
              and finished_at < (day + 1)::timestamp at time zone 'utc');
        execute format('create table lethe.%I (like lethe.finished_tasks including defaults including constraints)', name);
        execute format('alter table lethe.finished_tasks attach partition lethe.%I for values from (%L) to (%L)',
            name, day::timestamp at time zone 'utc', (day + 1)::timestamp at time zone 'utc');
        made := made + 1;
    end loop;
    return made;
end
$$;

-- Drops the partitions whose last day ended longer ago than the retention, but none that holds a part of an erasure
-- that is still open: its receipt is counted from them. Returns the number of dropped ones.
create function lethe.drop_partitions(retention_days int) returns int
language plpgsql security definer set search_path = lethe, pg_temp set lock_timeout = '1s' as $$
declare
    last    date := (now() at time zone 'utc')::date - retention_days;
    name    text;
    needed  boolean;
    dropped int := 0;
begin
    if not pg_try_advisory_xact_lock(1819567208, -1) then
        return 0;
    end if;
    for name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'lethe.finished_tasks'::regclass and c.relname ~ '^finished_tasks_[0-9]{8}$'
          and to_date(right(c.relname, 8), 'YYYYMMDD') < last
        order by c.relname
    loop
        execute format('select exists (select from lethe.cleanup_tasks root where root.kind = ''user-delete''
                            and exists (select from lethe.%I part
                                        where part.user_id = root.user_id and part.parent_id = root.id))', name)
        into needed;
        continue when needed;
        execute format('drop table lethe.%I', name);
        dropped := dropped + 1;
    end loop;
    delete from lethe.finished_tasks_other where finished_at < last::timestamp at time zone 'utc';
    return dropped;
end
$$;

select lethe.make_partitions(7);

-- All tasks, open and finished, with the columns of lethe.cleanup_tasks.
create view lethe.tasks as
select id, kind, entity_type, entity_id, user_id, object_keys, row_type, row_ids, status, lane, attempts, scheduled_at,
       last_error, error_class, held_reason, lease_owner, lease_token, parent_id, created_at, updated_at, finished_at
from lethe.cleanup_tasks
union all
select id, kind, entity_type, entity_id, user_id, case when status = 'cancelled' then kept_keys else '{}' end, row_type,
       '{}'::text[], status, 0::smallint, attempts, scheduled_at, null::text, null::text, null::text, null::text,
       0::bigint, parent_id, created_at, finished_at, finished_at
from lethe.finished_tasks;

-- The audit trail: what was asked for and tried, and what was completed.
create view lethe.audit as
select id, at, event, actor, worker, task_id, kind, entity_type, entity_id, user_id, attempt, object_keys, kept_keys,
       null::text as row_type, '{}'::text[] as row_ids, rows_removed as more_rows, error_class, detail
from lethe.cleanup_audit
union all
select audit_id, finished_at, case when kind = 'user-delete' then 'user-erased' else 'task-completed' end, null::text,
       worker, id, kind, entity_type, entity_id, user_id, attempts, object_keys, kept_keys, row_type, row_ids, more_rows,
       null::text, null::text
from lethe.finished_tasks where status = 'completed';

-- One row for each erasure that ended: what was removed from the request on. It stays when the records of the tasks
-- are dropped.
create table lethe.receipts (
    id              bigint generated always as identity primary key,
    user_id         text not null,
    task_id         bigint not null,
    requested_at    timestamptz not null,
    requested_by    text not null,
    completed_at    timestamptz not null default now(),
    objects_deleted bigint not null,
    objects_kept    bigint not null,
    -- Numbers of rows removed, by type: {"sample": 5}.
    rows_deleted    jsonb not null,
    -- Rows that stay for a reason of the map: [{"type", "rows", "why"}].
    rows_kept       jsonb not null default '[]',
    constraint receipts_one_a_task unique (task_id)
);
create index receipts_user_id_idx on lethe.receipts (user_id, id);

-- Svix ids that were seen, so that a repeat changes nothing, with a digest of the body they came with.
create table lethe.webhook_events (
    svix_id     text primary key,
    body_sha256 bytea not null,
    event_type  text,
    user_id     text,
    received_at timestamptz not null default now()
);
create index webhook_events_received_at_idx on lethe.webhook_events (received_at);
