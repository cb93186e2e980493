-- Documents: no table of users, one table, full URLs.
create table "Document" (id text primary key, "userId" text not null, "fileUrl" text not null, "fileName" text not null, "createdAt" timestamp(3) not null default now());
insert into "Document" values ('d1', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'https://upcdn.io/acct/raw/uploads/one.pdf', 'one.pdf'), ('d2', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'https://upcdn.io/acct/raw/uploads/two.pdf', 'two.pdf');
