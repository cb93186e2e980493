-- Payroll: bigint ids and a Clerk id that may be null, polymorphic attachments, invoices that the law keeps.
create table users (id bigint primary key, clerk_id text unique, email text not null, deleted_at timestamptz);
create table invoices (id bigint primary key, user_id bigint not null, bill_to text, notes text, number text);
create index on invoices (user_id);
create table documents (id bigint primary key, user_id bigint not null, title text);
create table blobs (id bigint primary key, key text not null unique, service_name text not null);
create table attachments (id bigint primary key, name text not null, record_type text not null, record_id bigint not null, blob_id bigint not null references blobs);
create index on attachments (record_type, record_id);
create table blob_variants (blob_id bigint not null references blobs, digest text not null, primary key (blob_id, digest));
insert into users values (1, 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'a@example.com'), (2, 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'b@example.com'), (3, null, 'c@example.com');
insert into invoices values (1, 1, 'A', 'x', '2026-1'), (2, 2, 'B', 'y', '2026-2');
insert into documents values (1, 1, 'mine'), (2, 2, 'theirs');
insert into blobs values (1, 'k1', 's'), (2, 'k2', 's'), (3, 'k3', 's');
insert into attachments values (1, 'file', 'Document', 1, 1), (2, 'file', 'Document', 2, 2), (3, 'file', 'Invoice', 1, 3);
