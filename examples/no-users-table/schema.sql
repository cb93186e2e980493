-- An application that keeps no table of users: rows bear the id that Clerk gives, and nothing else is known of a person.
create table documents (
  id serial primary key,
  user_id varchar(64) not null,
  title text not null,
  file_key text not null,
  cover_url text,
  deleted_at timestamptz
);
create index on documents (user_id);
create index on documents (file_key);
create index on documents (cover_url);

create table chats (
  id serial primary key,
  user_id varchar(64) not null,
  document_id integer references documents (id) on delete set null,
  created_at timestamptz not null default now()
);
create index on chats (user_id);
create index on chats (document_id);

create table messages (
  id bigserial primary key,
  chat_id integer not null references chats (id),
  role text not null check (role in ('user', 'assistant')),
  content text not null
);
create index on messages (chat_id);

-- Who may read a document of somebody else.
create table shares (
  document_id integer not null references documents (id) on delete cascade,
  user_id varchar(64) not null,
  granted_by varchar(64),
  primary key (document_id, user_id)
);
create index on shares (user_id);
create index on shares (granted_by);

create table orders (
  id uuid primary key default gen_random_uuid(),
  customer_id varchar(64),
  email text not null,
  receipt_key text not null,
  cents integer not null
);
create index on orders (customer_id);
create index on orders (receipt_key);

create table usage_counters (
  user_id varchar(64) not null,
  month date not null,
  tokens bigint not null default 0,
  primary key (user_id, month)
);
