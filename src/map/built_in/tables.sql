-- The tables of the built-in map. A row is soft-deleted by `deleted_at`; `deleted_by` says who asked. Only a soft-deleted
-- row is ever removed. Tables that are there already are used as they are: `lethe migrate` has compared them with what
-- Lethe needs (src/schema/application.rs) before it begins.

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

-- Foreign keys, and the order in which a user's erasure reads rows: samples by id, images by id. The names begin with
-- `lethe_`, because an index of the application may have the usual name and other columns.
create index if not exists lethe_collections_user_id_idx on public.collections (user_id, id);
create index if not exists lethe_samples_user_id_idx on public.samples (user_id, id);
create index if not exists lethe_samples_collection_id_idx on public.samples (collection_id) where collection_id is not null;
create index if not exists lethe_sample_images_sample_id_idx on public.sample_images (sample_id, id);
-- "Does a live image name this key?" is asked before every deletion of an object.
create index if not exists lethe_sample_images_object_key_idx on public.sample_images (object_key);

-- What is deleted and waiting, newest first (GET /admin/deleted). Live rows are not in these.
create index if not exists lethe_users_deleted_idx on public.users (deleted_at, id) where deleted_at is not null;
create index if not exists lethe_collections_deleted_idx on public.collections (deleted_at, id) where deleted_at is not null;
create index if not exists lethe_samples_deleted_idx on public.samples (deleted_at, id) where deleted_at is not null;
create index if not exists lethe_sample_images_deleted_idx on public.sample_images (deleted_at, id) where deleted_at is not null;
