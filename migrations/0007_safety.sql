-- Nobody runs wild: pause, the limit of erasures in an hour, the delay before an erasure begins, and its cancellation.
-- An erasure above the limit is accepted as any other (tombstone, soft delete, tasks), but its tasks are held: they are
-- `pending` with a `held_reason`, and no claim takes them until a person releases or cancels them.

alter table lethe.cleanup_audit drop constraint if exists cleanup_audit_event_known;
alter table lethe.cleanup_audit add constraint cleanup_audit_event_known check (event in (
    'user-deletion-requested', 'sample-deletion-requested', 'image-deletion-requested', 'entity-deletion-requested',
    'sample-restored', 'entity-restored',
    'task-continued', 'task-failed', 'task-dead', 'task-retried', 'cleanup-paused', 'cleanup-resumed',
    'erasure-released', 'erasure-cancelled'));

-- A cancelled erasure has no tombstone any more, so the entry of its cancellation says when and by whom it was asked for. The
-- index is that of the list of erasures, newest first (GET /admin/erasures).
alter table lethe.cleanup_audit add column requested_at timestamptz, add column requested_by text;
alter table lethe.cleanup_audit add constraint cleanup_audit_cancellation_is_whole check (
    event <> 'erasure-cancelled' or (requested_at is not null and requested_by is not null and task_id is not null));
create index cleanup_audit_cancelled_idx on lethe.cleanup_audit (requested_at, user_id, task_id)
    where event = 'erasure-cancelled';

-- What holds for all processes now. It has one row.
create table lethe.settings (
    is_only_row            boolean primary key default true constraint settings_has_one_row check (is_only_row),
    -- While this is set, no task is claimed.
    paused_at              timestamptz,
    paused_by              text,
    paused_reason          text,
    -- Users erased within an hour by all sources together; more are held. 0: no limit.
    erasure_limit_per_hour int not null default 1000,
    -- How long an erasure rests before its first object may be deleted.
    user_erasure_delay     interval not null default '0',
    constraint settings_pause_is_whole check ((paused_at is null) = (paused_by is null)),
    constraint settings_limit_not_negative check (erasure_limit_per_hour >= 0),
    constraint settings_delay_not_negative check (user_erasure_delay >= '0')
) with (fillfactor = 50);
insert into lethe.settings default values;

-- What the processes of each role were configured with when the last one of them started. Null: not set there.
create table lethe.process_settings (
    role                   text primary key,
    erasure_limit_per_hour int,
    user_erasure_delay     interval,
    process                text not null,
    started_at             timestamptz not null default now(),
    constraint process_settings_role_known check (role in ('serve', 'worker'))
);

-- One row for each erasure that the limit allows within an hour, with the time when one last used it. An erasure takes
-- a row that nobody used within the hour and locks it until its transaction ends; others pass over locked rows and take
-- the next. So there are never more than the limit, transactions that run at the same time included, and none waits for
-- another: the application may call lethe.delete_user in a transaction that stays open for a minute. One counter would
-- make every webhook wait for that minute; counting committed erasures would let transactions that do not see one
-- another pass the limit. What is rolled back gives its row back.
create table lethe.erasure_slots (
    slot    int primary key,
    used_at timestamptz not null default '-infinity'
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
create index erasure_slots_used_at_idx on lethe.erasure_slots (used_at);
insert into lethe.erasure_slots (slot) select generate_series(1, 1000);

-- Records what a process was configured with, and makes the stricter of the two roles' values hold: the lower limit
-- (0 is none), and the longer delay. A value that neither role sets is the default.
create function lethe.configure(process_role text, limit_per_hour int, delay interval, process text) returns void
language plpgsql security definer set search_path = lethe, pg_temp as $$
#variable_conflict use_variable
declare
    new_limit int;
    new_delay interval;
    slots     int;
begin
    -- One at a time.
    perform from lethe.settings for update;
    insert into lethe.process_settings as p (role, erasure_limit_per_hour, user_erasure_delay, process)
    values (process_role, limit_per_hour, delay, process)
    on conflict (role) do update
    set erasure_limit_per_hour = excluded.erasure_limit_per_hour, user_erasure_delay = excluded.user_erasure_delay,
        process = excluded.process, started_at = excluded.started_at;
    select coalesce(min(p.erasure_limit_per_hour) filter (where p.erasure_limit_per_hour > 0),
                    min(p.erasure_limit_per_hour), 1000),
           coalesce(max(p.user_erasure_delay), '0')
    into new_limit, new_delay from lethe.process_settings p;
    update lethe.settings s set erasure_limit_per_hour = new_limit, user_erasure_delay = new_delay
    where (s.erasure_limit_per_hour, s.user_erasure_delay) is distinct from (new_limit, new_delay);
    -- Slots follow the limit; without a limit they stay as they are. Those that were used longest ago go first, so that
    -- what was erased within the hour still counts. One that a transaction holds stays, and is not waited for.
    if new_limit > 0 then
        select count(*) into slots from lethe.erasure_slots;
        insert into lethe.erasure_slots (slot)
        select (select coalesce(max(e.slot), 0) from lethe.erasure_slots e) + n from generate_series(1, new_limit - slots) n;
        delete from lethe.erasure_slots s
        where s.slot = any (array(
            select e.slot from lethe.erasure_slots e
            order by e.used_at limit greatest(slots - new_limit, 0) for update skip locked));
    end if;
end
$$;

-- Why an erasure that is accepted now must be held; null if it may begin. One that may begin uses a slot.
create function lethe.hold_reason() returns text
language plpgsql security definer set search_path = lethe, pg_temp as $$
declare
    max_tries constant int := 20;
    per_hour  int;
    begin_at  int;
begin
    select erasure_limit_per_hour into strict per_hour from lethe.settings;
    if per_hour = 0 then
        return null;
    end if;
    if current_setting('transaction_isolation') = 'read committed' then
        with free as materialized (
            select slot from lethe.erasure_slots
            where used_at <= clock_timestamp() - interval '1 hour'
            order by used_at limit 1
            for no key update skip locked
        )
        update lethe.erasure_slots s set used_at = clock_timestamp() from free where s.slot = free.slot;
        if found then
            return null;
        end if;
    else
        -- The snapshot may show slots as free that others have used since. Each of these is refused, so another one is
        -- tried, from a random place on, because everybody else takes the one that was used longest ago.
        for try in 1..max_tries loop
            select min(slot) + floor(random() * (max(slot) - min(slot) + 1)) into begin_at from lethe.erasure_slots;
            begin
                with free as materialized (
                    select slot from lethe.erasure_slots
                    where slot >= begin_at and used_at <= clock_timestamp() - interval '1 hour'
                    order by slot limit 1
                    for no key update skip locked
                )
                update lethe.erasure_slots s set used_at = clock_timestamp() from free where s.slot = free.slot;
                if found then
                    return null;
                end if;
            exception when serialization_failure then
                null;
            end;
        end loop;
    end if;
    return format('%s users were erased within an hour, and that is the limit (ERASURE_LIMIT_PER_HOUR)', per_hour);
end
$$;

-- How long an erasure that is accepted now rests before its first object may be deleted.
create function lethe.erasure_delay() returns interval
language plpgsql stable security definer set search_path = lethe, pg_temp as $$
begin
    return (select user_erasure_delay from lethe.settings);
end
$$;

-- Stops all claiming. Repeated, it changes who and why, but not since when.
create function lethe.pause(actor text, reason text) returns void
language plpgsql security definer set search_path = lethe, pg_temp as $$
begin
    update lethe.settings
    set paused_at = coalesce(paused_at, now()), paused_by = pause.actor, paused_reason = pause.reason;
    insert into lethe.cleanup_audit (event, actor, detail) values ('cleanup-paused', pause.actor, pause.reason);
end
$$;

-- Ends a pause, and releases the next held erasures, at most `max_erasures`. Returns the number of released ones; call
-- it again until that is 0.
create function lethe.resume(actor text, reason text, max_erasures int) returns int
language plpgsql security definer set search_path = lethe, pg_temp as $$
declare
    roots bigint[];
begin
    update lethe.settings set paused_at = null, paused_by = null, paused_reason = null where paused_at is not null;
    if found then
        insert into lethe.cleanup_audit (event, actor, detail) values ('cleanup-resumed', resume.actor, resume.reason);
        perform pg_notify('cleanup_tasks', '');
    end if;
    select array_agg(h.id) into roots from (
        select id from lethe.cleanup_tasks
        where held_reason is not null and kind = 'user-delete'
        order by id limit max_erasures
        for no key update skip locked
    ) h;
    if roots is null then
        return 0;
    end if;
    -- A task that becomes due now must not be due in the past: the workers' claims have passed that time.
    update lethe.cleanup_tasks
    set held_reason = null, scheduled_at = greatest(scheduled_at, clock_timestamp()), updated_at = now()
    where id = any (roots);
    update lethe.cleanup_tasks
    set held_reason = null, scheduled_at = greatest(scheduled_at, clock_timestamp()), updated_at = now()
    where parent_id = any (roots) and held_reason is not null;
    insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id, detail)
    select 'erasure-released', resume.actor, t.id, t.kind, t.entity_type, t.entity_id, t.user_id, resume.reason
    from lethe.cleanup_tasks t where t.id = any (roots) order by t.id;
    return cardinality(roots);
end
$$;

-- Whether a worker has claimed a task of this erasure: the root or a part. Its objects may be gone then. A root that
-- names all rows itself (phase `rows`) has no parts; a part that has ended is a record.
create function lethe.is_touched(root lethe.cleanup_tasks) returns boolean
language plpgsql stable set search_path = lethe, pg_temp as $$
begin
    return root.status <> 'pending' or root.lease_token > 0
        or (root.phase <> 'rows'
            and (exists (select from lethe.cleanup_tasks p
                         where p.parent_id = root.id and p.kind = 'user-delete-part'
                           and (p.status <> 'pending' or p.lease_token > 0))
                 or exists (select from lethe.finished_tasks f
                            where f.user_id = root.user_id and f.parent_id = root.id and f.kind = 'user-delete-part')));
end
$$;

-- Takes a user's erasure back, as long as no task of it was ever claimed. What the erasure soft-deleted is live again,
-- and nothing else: its rows bear the time at which the root task was written, to the microsecond, and what was
-- soft-deleted before bears another. Returns `cancelled`; `begun` if a worker has claimed the root or a part of it, or if it has
-- ended; `unknown` if the erasure of this user was never asked for.
create function lethe.cancel_erasure(user_id text, actor text, reason text) returns text
language plpgsql security definer set search_path = lethe, pg_temp set row_security = off
set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
    root  lethe.cleanup_tasks;
    asked lethe.user_tombstones;
begin
    -- Against a deletion of the same user, and a sign-up that waits for the tombstone's end.
    perform lethe.lock_user(cancel_erasure.user_id, true);
    perform lethe_map.lock_user(cancel_erasure.user_id, true);
    -- Seen without a lock: a settle that holds the task of an erasure that has begun waits for the user's row.
    select * into root from lethe.cleanup_tasks t
    where t.entity_id = cancel_erasure.user_id and t.kind = 'user-delete';
    if found and lethe.is_touched(root) then
        return 'begun';
    end if;
    -- A claim that locked the row first is waited for, and seen. A claim that comes later passes over a locked row.
    select * into root from lethe.cleanup_tasks t
    where t.entity_id = cancel_erasure.user_id and t.kind = 'user-delete'
    for update;
    if not found then
        return case when exists (select from lethe.user_tombstones t where t.user_id = cancel_erasure.user_id)
                    then 'begun' else 'unknown' end;
    end if;
    perform from lethe.cleanup_tasks t where t.parent_id = root.id order by t.id for update;
    if lethe.is_touched(root) then
        return 'begun';
    end if;

    perform lethe_map.unmark(root);
    -- A deletion that was asked for by itself goes on by itself.
    update lethe.cleanup_tasks t set parent_id = null, updated_at = now()
    where t.parent_id = root.id and t.kind <> 'user-delete-part';
    perform lethe.cancel_task(t.id) from lethe.cleanup_tasks t where t.id = root.id or t.parent_id = root.id;
    -- Somebody who was erased before stays away, whatever becomes of a second erasure of what was left.
    delete from lethe.user_tombstones t
    where t.user_id = root.user_id and not exists (select from lethe.receipts r where r.user_id = root.user_id)
    returning * into asked;
    insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id, detail,
                                     requested_at, requested_by)
    values ('erasure-cancelled', cancel_erasure.actor, root.id, root.kind, root.entity_type, root.entity_id,
            root.user_id, cancel_erasure.reason,
            coalesce(asked.deleted_at, root.created_at),
            coalesce(asked.deleted_by,
                     (select a.actor from lethe.cleanup_audit a
                      where a.task_id = root.id and a.event = 'user-deletion-requested' limit 1), 'unknown'));
    return 'cancelled';
end
$$;

drop index if exists lethe.cleanup_audit_reconciled_idx;
-- Reconciliation: how many different users lost something to it of late (sql/reconcile/recent_users.sql). The index has
-- the rows that reconciliation wrote and no others.
create index cleanup_audit_reconcile_requests_idx on lethe.cleanup_audit (at, user_id)
    where event in ('user-deletion-requested', 'sample-deletion-requested', 'image-deletion-requested')
      and actor in ('reconcile', 'reconcile:clerk');

-- Who may act in whose name. `deleted_by` is what the audit trail and receipts show, so SQL of the application may not
-- say that an admin, a person at a terminal, Clerk or reconciliation asked.

-- To execute this function is the right to name such an actor. The schema's owner has it, and the roles of Lethe's own
-- processes (sql/roles.sql).
create function lethe.may_name_any_actor() returns boolean
language sql immutable set search_path = lethe, pg_temp as 'select true';

-- Refuses a reserved actor, unless the role that logged in may name any. It is asked of the session's role, because the
-- functions that call it run with the rights of the schema's owner.
create function lethe.check_actor(actor text) returns void
language plpgsql stable set search_path = lethe, pg_temp as $$
begin
    if actor ~* '^\s*((admin|cli|clerk):|reconcile)'
        and not has_function_privilege(session_user, 'lethe.may_name_any_actor()', 'execute')
    then
        raise exception 'deleted_by may not be %: the role % does not belong to Lethe', quote_literal(actor), session_user
            using errcode = 'insufficient_privilege',
                  hint = 'Name the user or the job of your application, such as user:<id> or job:<name>.';
    end if;
end
$$;

comment on table lethe.settings is 'Pause and limits: what holds for all processes now.';
