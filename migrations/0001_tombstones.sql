-- Everything of Lethe's own stands in schema `lethe`; schema `lethe_map` has the functions that know the tables of the
-- application. They are generated from the erasure map (src/map), which `lethe migrate` applies after these files. All
-- functions have the search path `lethe, pg_temp` or a stricter one: if pg_temp were not named last, it would come first,
-- and a temporary table named `user_tombstones` would take the place of the real one.
create schema if not exists lethe;
create schema lethe_map;
-- What is there already is no news.
set local client_min_messages = warning;

-- A tombstone for every user whose deletion was asked for, known or not. It is all that stays of them.
create table lethe.user_tombstones (
    user_id    text primary key,
    deleted_at timestamptz not null default now(),
    deleted_by text not null,
    -- The user's own id in the application, where it is another than Clerk's: rows that name it are found by it when the
    -- user's row is gone.
    user_key   text
);
create index user_tombstones_user_key_idx on lethe.user_tombstones (user_key) where user_key is not null;
-- The list of erasures, newest first (GET /admin/erasures).
create index user_tombstones_deleted_at_idx on lethe.user_tombstones (deleted_at, user_id);

-- Serialises "this user is deleted" against "this user is created" for a user who has no row to lock. A deletion of
-- a user whose row is there does not take it. 1,024 buckets, so that a bulk import holds a bounded number of locks.
create function lethe.lock_user(user_id text, exclusive boolean) returns void
language plpgsql set search_path = lethe, pg_temp as $$
begin
    if exclusive then
        perform pg_advisory_xact_lock(1819567208, hashtext(user_id) & 1023);
    else
        perform pg_advisory_xact_lock_shared(1819567208, hashtext(user_id) & 1023);
    end if;
end
$$;

-- Refuses a row of a user whose deletion was asked for. The trigger's argument is the column with Clerk's id. It runs
-- with the rights of the schema's owner, so that the application needs none. `row_security = off`: where a policy would
-- hide rows, PostgreSQL raises an error instead of leaving them out. A tombstone that is not seen must not let the user in.
create function lethe.refuse_tombstoned_user() returns trigger
language plpgsql security definer set search_path = lethe, pg_temp set row_security = off as $$
declare
    new_id text := to_jsonb(new) ->> tg_argv[0];
begin
    if new_id is null or (tg_op = 'UPDATE' and new_id is not distinct from to_jsonb(old) ->> tg_argv[0]) then
        return new;
    end if;
    perform lethe.lock_user(new_id, false);
    if current_setting('transaction_isolation') = 'read committed' then
        if not exists (select from lethe.user_tombstones where user_id = new_id) then
            return new;
        end if;
    else
        -- The snapshot of this transaction may be older than the tombstone. A unique index is not read by snapshot:
        -- an insert of the same tombstone fails if one is committed. The insert itself is rolled back.
        begin
            insert into lethe.user_tombstones (user_id, deleted_by) values (new_id, 'probe');
            raise exception 'no tombstone' using errcode = 'LT001';
        exception
            when sqlstate 'LT001' then return new;
            when unique_violation then null;
        end;
    end if;
    raise exception 'user % was deleted and cannot be created again', new_id
        using errcode = 'integrity_constraint_violation', constraint = 'users_not_tombstoned',
              hint = 'A late "user.created" event is to be ignored; Clerk never reuses an id.';
end
$$;
