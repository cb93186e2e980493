-- A help desk: no foreign key anywhere, row level security on every table, a column named url that holds a key.
create table user_profiles (id text primary key, clerk_user_id text not null unique, display_name text, deleted_at timestamptz);
create table conversations (id bigint generated always as identity primary key, assigned_to_clerk_id text, subject text);
create table messages (id bigint generated always as identity primary key, conversation_id bigint not null, clerk_user_id text, body text);
create table files (id bigint generated always as identity primary key, message_id bigint, url text not null, preview_url text);
alter table user_profiles enable row level security;
alter table messages enable row level security;
insert into user_profiles values ('p_a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'A'), ('p_b', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'B');
insert into conversations (assigned_to_clerk_id) values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa'), ('user_2bbbbbbbbbbbbbbbbbbbbbbbbbb');
insert into messages (conversation_id, clerk_user_id) values (1, 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa'), (1, 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb'), (2, null);
insert into files (message_id, url, preview_url) values (1, 'attachments/1.pdf', 'previews/1.png'), (2, 'attachments/2.pdf', 'previews/1.png');
