-- Notes with attachments: uuid ids beside an external id of the users, a soft delete, counters without a foreign key.
create table users (id uuid primary key, external_id text unique, email text, deleted_at timestamptz);
create table vaults (id uuid primary key, user_id uuid not null references users on delete cascade);
create index on vaults (user_id);
create table attachments (id uuid primary key, vault_id uuid not null references vaults on delete cascade, user_id uuid references users, storage_key text, deleted_at timestamp);
create index on attachments (vault_id);
create table usage_buckets (user_id uuid not null, day date not null, bytes bigint, primary key (user_id, day));
create table schema_migrations (version bigint primary key);
insert into users values ('00000000-0000-0000-0000-00000000000a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'a@example.com'), ('00000000-0000-0000-0000-00000000000b', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'b@example.com');
insert into vaults values ('00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-00000000000a'), ('00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-00000000000b');
insert into attachments values ('00000000-0000-0000-0000-0000000000a2', '00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000a/one.png', null),
    ('00000000-0000-0000-0000-0000000000a3', '00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000b/theirs.png', null),
    ('00000000-0000-0000-0000-0000000000b2', '00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000a/shared.png', null);
insert into usage_buckets values ('00000000-0000-0000-0000-00000000000a', '2026-01-01', 1), ('00000000-0000-0000-0000-00000000000b', '2026-01-01', 1);
