-- Reels: a cycle between users and their addresses, likes without a key, an address that a profile points at.
create table users (id uuid primary key, clerk_id text not null unique, primary_email_id uuid, first_name text);
create table email_addresses (id uuid primary key, user_id uuid not null references users on delete cascade, address text not null);
alter table users add foreign key (primary_email_id) references email_addresses (id) on delete set null;
create table addresses (id uuid primary key, city text);
create table profiles (id uuid primary key, user_id uuid not null references users on delete cascade, address_id uuid references addresses, resume_url text);
create table reels (id uuid primary key, profile_id uuid not null references profiles on delete cascade, url text);
create table likes (user_id uuid not null references users on delete cascade, reel_id uuid not null references reels on delete cascade);
insert into users values ('00000000-0000-0000-0000-00000000000a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', null, 'A'), ('00000000-0000-0000-0000-00000000000b', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', null, 'B');
insert into email_addresses values ('00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-00000000000a', 'a@example.com');
update users set primary_email_id = '00000000-0000-0000-0000-0000000000a1' where clerk_id = 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa';
insert into addresses values ('00000000-0000-0000-0000-0000000000ad', 'Here');
insert into profiles values ('00000000-0000-0000-0000-0000000000a2', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-0000000000ad', 'https://s3.example.com/jobs/resumes/a.pdf');
insert into reels values ('00000000-0000-0000-0000-0000000000a3', '00000000-0000-0000-0000-0000000000a2', 'https://s3.example.com/jobs/reels/a.mp4');
insert into likes values ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-0000000000a3'), ('00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-0000000000a3'), ('00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-0000000000a3');
