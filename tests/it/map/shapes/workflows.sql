-- Workflows in a schema of their own: the Clerk id is the key of the users; NO ACTION between tables.
create schema comfy;
create type comfy.status as enum ('new', 'done');
create table comfy.users (id text primary key, username text, name text);
create table comfy.machines (id uuid primary key, user_id text not null references comfy.users on delete cascade, org_id text);
create table comfy.workflows (id uuid primary key, user_id text not null references comfy.users on delete cascade, org_id text);
create table comfy.workflow_runs (id uuid primary key, workflow_id uuid not null references comfy.workflows on delete cascade, machine_id uuid references comfy.machines on delete set null, status comfy.status not null);
create table comfy.deployments (id uuid primary key, user_id text not null references comfy.users, machine_id uuid not null references comfy.machines, workflow_id uuid not null references comfy.workflows);
create table comfy.outputs (id uuid primary key, run_id uuid not null references comfy.workflow_runs on delete cascade, data jsonb);
insert into comfy.users values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'a', 'A'), ('user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'b', 'B');
insert into comfy.machines values ('00000000-0000-0000-0000-00000000000a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', null), ('00000000-0000-0000-0000-00000000000b', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', null);
insert into comfy.workflows values ('00000000-0000-0000-0000-00000000000a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', null), ('00000000-0000-0000-0000-00000000000b', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', null);
insert into comfy.workflow_runs values ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b', 'new'), ('00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000a', 'done');
insert into comfy.deployments values ('00000000-0000-0000-0000-00000000000a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000a'), ('00000000-0000-0000-0000-00000000000b', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b');
insert into comfy.outputs values ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000a', '{"images": [{"key": "outputs/a/1.png"}, {"key": "outputs/a/1.png"}, {"key": 7}, {"key": null}, "x"]}');
