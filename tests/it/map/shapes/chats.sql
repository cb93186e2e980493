-- Chats with a PDF: no table of users, serial keys, keys that the browser chose.
create table chats (id serial primary key, pdf_name text not null, pdf_url text not null, user_id varchar(256) not null, file_key text not null);
create table messages (id serial primary key, chat_id integer not null references chats, content text not null);
create table user_subscriptions (id serial primary key, user_id varchar(256) not null unique, stripe_customer_id varchar(256) not null unique);
insert into chats (pdf_name, pdf_url, user_id, file_key) values ('one', 'https://b.s3.example.com/uploads/1one.pdf', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'uploads/1one.pdf'), ('bad', 'https://b.s3.example.com/static/logo.png', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'static/logo.png'), ('two', 'https://b.s3.example.com/uploads/2two.pdf', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'uploads/2two.pdf');
insert into messages (chat_id, content) values (1, 'hello'), (3, 'hello');
insert into user_subscriptions (user_id, stripe_customer_id) values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'cus_a');
