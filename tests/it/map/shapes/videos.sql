-- A clone of a video site: everything cascades, composite keys, one table with two references to a user, replies.
create table users (id uuid primary key, clerk_id text not null unique, name text not null, banner_key text);
create table videos (id uuid primary key, user_id uuid not null references users on delete cascade, thumbnail_key text, thumbnail_url text, preview_key text);
create table comments (id uuid primary key, user_id uuid not null references users on delete cascade, video_id uuid not null references videos on delete cascade, parent_id uuid references comments on delete cascade, value text);
create table subscriptions (viewer_id uuid not null references users on delete cascade, creator_id uuid not null references users on delete cascade, primary key (viewer_id, creator_id));
create table video_views (user_id uuid not null references users on delete cascade, video_id uuid not null references videos on delete cascade, primary key (user_id, video_id));
insert into users values ('00000000-0000-0000-0000-00000000000a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'A', 'banners/a.png'), ('00000000-0000-0000-0000-00000000000b', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'B', null);
insert into videos values ('00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-00000000000a', 'thumbs/a.png', 'https://cdn.example.com/thumbs/a%20b.png?v=1', 'previews/a.gif'),
    ('00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-00000000000b', 'thumbs/a.png', 'https://img.clerk.com/x.png', null);
insert into comments values ('00000000-0000-0000-0000-0000000000c1', '00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-0000000000b1', null, 'root'),
    ('00000000-0000-0000-0000-0000000000c2', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-0000000000c1', 'mine'),
    ('00000000-0000-0000-0000-0000000000c3', '00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-0000000000b1', '00000000-0000-0000-0000-0000000000c2', 'a reply'),
    ('00000000-0000-0000-0000-0000000000c4', '00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-0000000000a1', null, 'on my video');
insert into subscriptions values ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b'), ('00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000a');
insert into video_views values ('00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-0000000000a1');
