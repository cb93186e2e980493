-- A platform for agents: no table of users, a sentinel owner, most references without a foreign key, counted blobs.
create table agents (id uuid primary key, user_id text not null, name text);
create index on agents (user_id);
create table agent_runs (id bigint generated always as identity primary key, agent_id uuid not null references agents on delete cascade, log text);
create index on agent_runs (agent_id);
create table export_jobs (id uuid primary key, user_id text not null, s3_key text);
create table storages (id uuid primary key, user_id text not null, s3_prefix text not null, head_id text);
create table storage_versions (sha text primary key, storage_id uuid not null references storages, s3_key text not null);
create index on storage_versions (storage_id);
create table blobs (hash text primary key, ref_count int not null);
insert into agents values ('00000000-0000-0000-0000-00000000000a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'mine'), ('00000000-0000-0000-0000-00000000000b', '__org__', 'shared');
insert into agent_runs (agent_id) values ('00000000-0000-0000-0000-00000000000a'), ('00000000-0000-0000-0000-00000000000a'), ('00000000-0000-0000-0000-00000000000b');
insert into export_jobs values ('00000000-0000-0000-0000-00000000000a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'exports/user_2aaaaaaaaaaaaaaaaaaaaaaaaaa/one.zip'), ('00000000-0000-0000-0000-00000000000c', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'static/logo.png'), ('00000000-0000-0000-0000-00000000000b', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'exports/user_2bbbbbbbbbbbbbbbbbbbbbbbbbb/one.zip');
insert into storages values ('00000000-0000-0000-0000-00000000000a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'a/', null);
insert into storage_versions values ('f00', '00000000-0000-0000-0000-00000000000a', 'versions/f00.tar');
