-- Outgoing notices (Standard Webhooks): a notice is written in the transaction of the change that it tells of, and a
-- worker delivers it afterwards (src/notices). Nothing is written unless a worker was started with NOTIFY_WEBHOOK_URL.

create table lethe.notices (
    -- The receiver gets it as `webhook-id`: the same at each delivery.
    id           uuid primary key default gen_random_uuid(),
    type         text not null,
    created_at   timestamptz not null default clock_timestamp(),
    -- No personal data but the Clerk user id.
    data         jsonb not null,
    -- It grows at each claim, and is the fence: a delivery that took too long settles nothing.
    attempts     int not null default 0,
    -- While a worker delivers it, the time at which another one may.
    next_try_at  timestamptz not null default clock_timestamp(),
    last_error   text,
    delivered_at timestamptz,
    -- The last attempt failed. A person may ask for more of them (lethe.retry_notices).
    given_up_at  timestamptz,
    constraint notices_type_known
        check (type in ('erasure.completed', 'task.dead', 'erasures.held', 'cleanup.paused')),
    constraint notices_end_once check (num_nonnulls(delivered_at, given_up_at) < 2)
);
create index notices_due_idx on lethe.notices (next_try_at, id) where delivered_at is null and given_up_at is null;
create index notices_oldest_idx on lethe.notices (created_at) where delivered_at is null and given_up_at is null;
create index notices_given_up_idx on lethe.notices (created_at) where given_up_at is not null;
create index notices_held_idx on lethe.notices (created_at) where type = 'erasures.held';
create index notices_created_at_idx on lethe.notices (created_at);

-- Where notices go. It has one row.
create table lethe.notice_settings (
    is_only_row boolean primary key default true constraint notice_settings_has_one_row check (is_only_row),
    -- The SHA-256 of the URL that the worker which started last was configured with. Null: no notice is written.
    endpoint    bytea,
    -- Since the receiver answered 410 Gone, nothing is written and nothing delivered.
    disabled_at timestamptz
);
insert into lethe.notice_settings default values;

-- Whether a notice that is written now has somebody who reads it.
create function lethe.notices_wanted() returns boolean
language plpgsql stable security definer set search_path = lethe, pg_temp as $$
begin
    return (select s.endpoint is not null and s.disabled_at is null from lethe.notice_settings s);
end
$$;

-- Times as the API writes them.
create function lethe.notice_time(at timestamptz) returns text
language sql immutable set search_path = lethe, pg_temp as $$
    select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- One statement for all receipts that a settle writes.
create function lethe.notice_receipts() returns trigger
language plpgsql security definer set search_path = lethe, pg_temp as $$
begin
    if lethe.notices_wanted() then
        insert into lethe.notices (type, data)
        select 'erasure.completed', jsonb_build_object('userId', r.user_id, 'taskId', r.task_id::text,
            'status', 'complete', 'requestedAt', lethe.notice_time(r.requested_at),
            'completedAt', lethe.notice_time(r.completed_at), 'objectsDeleted', r.objects_deleted,
            'objectsKept', r.objects_kept, 'rowsDeleted', r.rows_deleted)
        from written r;
    end if;
    return null;
end
$$;
create trigger receipts_noticed after insert on lethe.receipts
    referencing new table as written for each statement execute function lethe.notice_receipts();

-- What a person must look at is in the audit trail, in the same transaction. Its detail may hold keys and names, so the
-- notice leaves it out.
create function lethe.notice_audit() returns trigger
language plpgsql security definer set search_path = lethe, pg_temp as $$
begin
    if not lethe.notices_wanted() then
        return null;
    end if;
    if new.event = 'task-dead' then
        insert into lethe.notices (type, data)
        values ('task.dead', jsonb_build_object('taskId', new.task_id::text, 'kind', new.kind, 'userId', new.user_id,
            'attempts', new.attempt, 'errorClass', new.error_class));
    else
        insert into lethe.notices (type, data)
        values ('cleanup.paused', jsonb_build_object('pausedAt', lethe.notice_time(new.at)));
    end if;
    return null;
end
$$;
create trigger cleanup_audit_noticed after insert on lethe.cleanup_audit
    for each row when (new.event in ('task-dead', 'cleanup-paused')) execute function lethe.notice_audit();

-- One notice an hour says that erasures are held, because a leaked secret may hold thousands. Transactions that run at
-- the same time may write one each: a unique key would make them wait for each other.
create function lethe.notice_held() returns trigger
language plpgsql security definer set search_path = lethe, pg_temp as $$
begin
    if lethe.notices_wanted() and not exists (
        select from lethe.notices n
        where n.type = 'erasures.held' and n.created_at > clock_timestamp() - interval '1 hour')
    then
        insert into lethe.notices (type, data)
        select 'erasures.held', jsonb_build_object('limitPerHour', s.erasure_limit_per_hour) from lethe.settings s;
    end if;
    return null;
end
$$;
create trigger cleanup_tasks_noticed after insert on lethe.cleanup_tasks
    for each row when (new.held_reason is not null and new.kind = 'user-delete') execute function lethe.notice_held();

-- Records where the notices go, by the SHA-256 of the URL; null: nowhere. Another URL is not disabled.
create function lethe.configure_notices(endpoint bytea) returns void
language sql security definer set search_path = lethe, pg_temp as $$
    update lethe.notice_settings s set endpoint = $1, disabled_at = null where s.endpoint is distinct from $1
$$;

-- The receiver at this endpoint is gone.
create function lethe.disable_notices(endpoint bytea) returns void
language sql security definer set search_path = lethe, pg_temp as $$
    update lethe.notice_settings s set disabled_at = clock_timestamp() where s.endpoint = $1 and s.disabled_at is null
$$;

-- Delivers again what was given up, from the first attempt on: these, or all if `ids` is null. It also enables an endpoint that was
-- disabled, and makes what waits due at once. Returns the number of notices.
create function lethe.retry_notices(ids uuid[]) returns bigint
language sql security definer set search_path = lethe, pg_temp as $$
    update lethe.notice_settings set disabled_at = null where disabled_at is not null;
    with again as (
        update lethe.notices n set given_up_at = null, attempts = 0, next_try_at = clock_timestamp()
        where n.delivered_at is null and (n.given_up_at is not null or n.last_error is not null)
          and (ids is null or n.id = any (ids))
        returning n.id
    )
    select count(*) from again
$$;

revoke execute on all functions in schema lethe from public;
