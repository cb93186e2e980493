-- The use cases as functions, so that the webhook, the API and the application's own SQL are the same code, in
-- whatever transaction they are called. Every step has a bounded size. What the application calls runs with the rights
-- of the schema's owner, and with settings that make the planner go by index from short lists of ids, because the
-- statistics of a queue and of tables that shrink are always stale.

-- The search path with which the application's triggers run when Lethe writes its tables: what `alter database … set
-- search_path` says, or public. Their names need not be qualified. A client cannot change it.
create function lethe.application_path() returns text
language plpgsql stable set search_path = lethe, pg_temp as $$
begin
    return coalesce(
        (select substr(c.setting, length('search_path=') + 1)
         from pg_catalog.pg_db_role_setting s cross join unnest(s.setconfig) as c (setting)
         where s.setrole = 0 and s.setdatabase = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
           and c.setting like 'search\_path=%'),
        'public') || ', pg_temp';
end
$$;

-- Makes open tasks parts of an erasure, and due now. While the erasure may not begin (it is held or delayed), they stay as
-- they are.
create function lethe.adopt(tasks bigint[], root_id bigint) returns void
language plpgsql set search_path = lethe, pg_temp as $$
begin
    update lethe.cleanup_tasks t
    set parent_id = root_id, updated_at = now(),
        scheduled_at = case when t.status = 'pending' then least(t.scheduled_at, clock_timestamp())
                            else t.scheduled_at end
    where t.id = any (tasks)
      and t.parent_id is distinct from root_id
      and exists (select from lethe.cleanup_tasks r
                  where r.id = root_id and r.held_reason is null and r.scheduled_at <= clock_timestamp());
end
$$;

-- Erases a user: tombstone, root task and audit, and the first step of the plan, in the caller's transaction. Returns
-- the root task's id, the same one when repeated. A user that Lethe never saw gets a tombstone and a root task too.
-- If the first step fails (a table was changed, or is busy), the worker makes it; the request is accepted. The reason goes
-- to the audit trail, with the request; a repeated request writes none.
create function lethe.delete_user(user_id text, deleted_by text, reason text) returns bigint
language plpgsql security definer set search_path = lethe, pg_temp set row_security = off set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
declare
    root    bigint;
    refusal text;
    own_key text;
begin
    if coalesce(delete_user.user_id, '') = '' then
        raise exception 'user_id must not be empty' using errcode = 'invalid_parameter_value';
    end if;
    if coalesce(delete_user.deleted_by, '') = '' then
        raise exception 'deleted_by must not be empty' using errcode = 'invalid_parameter_value';
    end if;
    perform lethe.check_actor(delete_user.deleted_by);
    refusal := lethe_map.refusal(delete_user.user_id);
    if refusal is not null then
        raise exception 'user_id % is refused: %', quote_literal(delete_user.user_id), refusal
            using errcode = 'invalid_parameter_value';
    end if;
    -- A row that somebody holds is not waited for: it is there, so nobody creates it at this moment.
    if not lethe_map.lock_user(delete_user.user_id, false) then
        perform lethe.lock_user(delete_user.user_id, true);
    end if;
    own_key := lethe_map.user_key(delete_user.user_id);
    -- A repetition waits here for the one before it.
    insert into lethe.user_tombstones (user_id, deleted_by, user_key)
    values (delete_user.user_id, delete_user.deleted_by, own_key)
    on conflict do nothing;
    if not found then
        if own_key is not null then
            update lethe.user_tombstones t set user_key = own_key
            where t.user_id = delete_user.user_id and t.user_key is null;
        end if;
        root := lethe.erasure_of(delete_user.user_id);
        if root is not null then
            return root;
        end if;
    end if;

    return lethe.begin_erasure(delete_user.user_id, delete_user.deleted_by, delete_user.reason);
end
$$;

-- Writes the root task of an erasure with its audit, and makes the first step. The user has a tombstone. Returns the task
-- of the erasure that is open already, if there is one.
create function lethe.begin_erasure(of_user text, deleted_by text, reason text) returns bigint
language plpgsql set search_path = lethe, pg_temp as $$
declare
    -- The caller waits for this step, so it is smaller than a worker's.
    max_rows constant int := 1000;
    -- The time that the rows of this erasure bear. No other transaction writes the same.
    asked_at timestamptz := clock_timestamp();
    root     bigint;
begin
    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, phase, created_at, scheduled_at, held_reason)
    values ('user-delete', 'user', of_user, of_user, 'plan', asked_at,
            clock_timestamp() + lethe.erasure_delay(), lethe.hold_reason())
    on conflict (entity_id, kind, entity_type) where kind <> 'user-delete-part' do nothing
    returning id into root;
    if root is null then
        return lethe.erasure_of(of_user);
    end if;
    insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id, detail)
    values ('user-deletion-requested', begin_erasure.deleted_by, root, 'user-delete', 'user',
            of_user, of_user, begin_erasure.reason);
    begin
        perform lethe_map.plan_user(root, max_rows);
    exception when query_canceled or others then
        -- A time limit ends the step only. A person who cancels ends the request.
        if sqlstate = '57014' and clock_timestamp() - statement_timestamp()
                < coalesce(nullif(current_setting('statement_timeout'), '0')::interval, '1000 years') then
            raise;
        end if;
        raise warning 'the first step of the erasure of user % failed and is left to the worker: % (%)',
            of_user, sqlerrm, sqlstate;
    end;
    return root;
end
$$;

-- Erases a user again who was erased under an earlier map that left something. Null if the user has no tombstone, or may
-- not be erased by the map that holds now.
create function lethe.sweep_user(user_id text, deleted_by text) returns bigint
language plpgsql security definer set search_path = lethe, pg_temp set row_security = off set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
begin
    perform lethe.check_actor(sweep_user.deleted_by);
    perform from lethe.user_tombstones t where t.user_id = sweep_user.user_id for no key update;
    if not found or lethe_map.refusal(sweep_user.user_id) is not null then
        return null;
    end if;
    return lethe.begin_erasure(sweep_user.user_id, sweep_user.deleted_by, null);
end
$$;

-- The same without a reason. In PL/pgSQL, which keeps the plan.
create function lethe.delete_user(user_id text, deleted_by text) returns bigint
language plpgsql security definer set search_path = lethe, pg_temp as $$
begin
    return lethe.delete_user(delete_user.user_id, delete_user.deleted_by, null);
end
$$;

-- The erasure that a repeated request means: an open one, or the last that was completed, unless a row of the user is
-- there again (a database that was restored from a backup).
create function lethe.erasure_of(of_user text) returns bigint
language plpgsql stable set search_path = lethe, pg_temp set row_security = off as $$
begin
    return coalesce(
        (select t.id from lethe.cleanup_tasks t where t.entity_id = of_user and t.kind = 'user-delete'),
        (select r.task_id from lethe.receipts r
         where r.user_id = of_user and not lethe_map.has_user(of_user)
         order by r.id desc limit 1));
end
$$;

comment on function lethe.delete_user (text, text) is 'Erases a user and all that is theirs. Returns the task that says how far it is.';
comment on function lethe.delete_user (text, text, text) is 'The same, with a reason for the audit trail.';
