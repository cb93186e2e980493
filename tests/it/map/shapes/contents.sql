-- Generated contents: URLs inside of JSON and of text.
create table users (id varchar(64) primary key, email varchar(255));
create table contents (id uuid primary key, user_id varchar(64) references users on delete cascade, blocks jsonb, body text);
create table usage_logs (id bigint primary key, user_id varchar(64) references users on delete set null, content_id uuid references contents on delete set null, prompt text);
insert into users values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'a@example.com'), ('user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'b@example.com');
insert into contents values ('00000000-0000-0000-0000-00000000000a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', '[{"url": "https://blob.example.com/images/1.png"}, {"text": "x"}]', 'see https://blob.example.com/images/2.png');
insert into usage_logs values (1, 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', '00000000-0000-0000-0000-00000000000a', 'write'), (2, 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', null, 'write');
