-- A Prisma application in camel case: RESTRICT for authors, two references to a user in one table, the user's row kept.
create table "User" (id uuid primary key, "clerkId" text not null unique, email text not null unique, name text, "profileImage" text, "deletedAt" timestamp(3));
create table "Listing" (id uuid primary key, "authorId" uuid not null references "User" on delete restrict, title text not null);
create table "Ban" (id uuid primary key, "userId" uuid not null references "User" on delete cascade, "bannedById" uuid references "User" on delete set null, reason text);
create table "Vote" ("userId" uuid not null references "User" on delete cascade, "listingId" uuid not null references "Listing" on delete cascade, primary key ("userId", "listingId"));
create table "TrustEntry" (id uuid primary key, "userId" uuid not null, "entityType" text not null, "entityId" uuid not null);
create table "_ListingToTag" ("A" uuid not null references "Listing" on delete cascade, "B" uuid not null);
create unique index on "_ListingToTag" ("A", "B");
create table _prisma_migrations (id text primary key);
insert into "User" values ('00000000-0000-0000-0000-00000000000a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'a@example.com', 'A', 'https://cdn.example.com/avatars/00000000-0000-0000-0000-00000000000a/me.png', null), ('00000000-0000-0000-0000-00000000000b', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'b@example.com', 'B', 'https://img.clerk.com/b', null);
insert into "Listing" values ('00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-00000000000a', 'mine');
insert into "Ban" values ('00000000-0000-0000-0000-0000000000a2', '00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000a', 'spam');
insert into "Vote" values ('00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-0000000000a1');
insert into "TrustEntry" values ('00000000-0000-0000-0000-0000000000a3', '00000000-0000-0000-0000-00000000000a', 'Listing', '00000000-0000-0000-0000-0000000000a1'), ('00000000-0000-0000-0000-0000000000a4', '00000000-0000-0000-0000-00000000000b', 'Listing', '00000000-0000-0000-0000-0000000000a1');
insert into "_ListingToTag" values ('00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-0000000000f1');
