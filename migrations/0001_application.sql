-- The application's own tables, as Lethe needs them. A row is soft-deleted by `deleted_at`; `deleted_by`
-- says who asked. Only a soft-deleted row is ever removed. Tables that are there already are used as they are:
-- `lethe migrate` has compared them with what Lethe needs (src/schema/application.rs) before it begins.

-- Everything of Lethe's own stands in schema `lethe`. Its functions have the search path `lethe, pg_temp`: if
-- pg_temp were not named last, it would come first, and a temporary table named `user_tombstones` would take the
-- place of the real one.
create schema if not exists lethe;
-- What is there already is no news.
set local client_min_messages = warning;

create table if not exists public.users (
    id         text primary key,                       -- the Clerk user id
    email      text,
    created_at timestamptz not null default now(),
    deleted_at timestamptz,
    deleted_by text,
    constraint users_id_not_empty check (id <> '')
);

create table if not exists public.collections (
    id         uuid primary key default gen_random_uuid(),
    user_id    text not null references public.users (id),
    name       text,
    created_at timestamptz not null default now(),
    is_deleted boolean generated always as (deleted_at is not null) stored,
    deleted_at timestamptz,
    deleted_by text
);

create table if not exists public.samples (
    id            uuid primary key default gen_random_uuid(),
    user_id       text not null references public.users (id),
    -- A sample may stand in another user's collection, and survives it.
    collection_id uuid references public.collections (id) on delete set null,
    name          text,
    created_at    timestamptz not null default now(),
    is_deleted    boolean generated always as (deleted_at is not null) stored,
    deleted_at    timestamptz,
    deleted_by    text
);

create table if not exists public.sample_images (
    id         uuid primary key default gen_random_uuid(),
    sample_id  uuid not null references public.samples (id),
    -- The S3 key. This row is the only memory of it: the object goes first.
    object_key text not null,
    created_at timestamptz not null default now(),
    is_deleted boolean generated always as (deleted_at is not null) stored,
    deleted_at timestamptz,
    deleted_by text,
    constraint sample_images_object_key_not_empty check (object_key <> '')
);

-- Foreign keys, and the order in which a user's erasure walks: samples by id, images by id.
create index if not exists collections_user_id_idx on public.collections (user_id, id);
create index if not exists samples_user_id_idx on public.samples (user_id, id);
create index if not exists samples_collection_id_idx on public.samples (collection_id) where collection_id is not null;
create index if not exists sample_images_sample_id_idx on public.sample_images (sample_id, id);
-- "Does a live image name this key?" is asked before every deletion of an object.
create index if not exists sample_images_object_key_idx on public.sample_images (object_key);

-- What is deleted and waiting, newest first (GET /admin/deleted). Live rows are not in these.
create index if not exists users_deleted_idx on public.users (deleted_at, id) where deleted_at is not null;
create index if not exists collections_deleted_idx on public.collections (deleted_at, id) where deleted_at is not null;
create index if not exists samples_deleted_idx on public.samples (deleted_at, id) where deleted_at is not null;
create index if not exists sample_images_deleted_idx on public.sample_images (deleted_at, id) where deleted_at is not null;

-- A tombstone for every user whose deletion was asked for, known or not. It is all that stays of them.
create table lethe.user_tombstones (
    user_id    text primary key,
    deleted_at timestamptz not null default now(),
    deleted_by text not null
);
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

-- It runs with the rights of the schema's owner, so that the application needs none. `row_security = off`: where a
-- policy would hide rows, PostgreSQL raises an error instead of leaving them out. A tombstone that is not seen must
-- not let the user in.
create function lethe.refuse_tombstoned_user() returns trigger
language plpgsql security definer set search_path = lethe, pg_temp set row_security = off as $$
begin
    perform lethe.lock_user(new.id, false);
    if current_setting('transaction_isolation') = 'read committed' then
        if not exists (select from lethe.user_tombstones where user_id = new.id) then
            return new;
        end if;
    else
        -- The snapshot of this transaction may be older than the tombstone. A unique index is not read by snapshot:
        -- an insert of the same tombstone fails if one is committed. The insert itself is rolled back.
        begin
            insert into lethe.user_tombstones (user_id, deleted_by) values (new.id, 'probe');
            raise exception 'no tombstone' using errcode = 'LT001';
        exception
            when sqlstate 'LT001' then return new;
            when unique_violation then null;
        end;
    end if;
    raise exception 'user % was deleted and cannot be created again', new.id
        using errcode = 'integrity_constraint_violation', constraint = 'users_not_tombstoned',
              hint = 'A late "user.created" event is to be ignored; Clerk never reuses an id.';
end
$$;

create or replace trigger users_not_tombstoned before insert on public.users
    for each row execute function lethe.refuse_tombstoned_user();
