-- Venues: the Clerk id is the key, arrays of URLs, votes without a foreign key.
create table "User" (id text primary key, email text, "createdAt" timestamp(3) not null default now());
create table "Venue" (id text primary key, "submittedById" text references "User" on delete set null, "menuPhotos" text[] not null default '{}', name text);
create table "Review" (id text primary key, "userId" text not null references "User" on delete cascade, "venueId" text not null references "Venue" on delete cascade, photos text[]);
create table "AmenityVote" (id text primary key, "userId" text not null, "venueId" text not null, value int);
insert into "User" values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'a@example.com'), ('user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'b@example.com');
insert into "Venue" values ('v1', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', array['https://cdn.example.com/menus/1.png', null, ''], 'one');
insert into "Review" values ('r1', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'v1', array['https://cdn.example.com/reviews/r1.png', 'https://CDN.EXAMPLE.COM/menus/1.png', 'https://cdn.example.com.evil/x.png']), ('r2', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'v1', null);
insert into "AmenityVote" values ('a1', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'v1', 1), ('a2', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'v1', 1);
