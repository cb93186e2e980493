-- A wardrobe: RESTRICT everywhere, and the bucket beside the key.
create table "User" (id text primary key, "clerkId" text not null unique, email text);
create table "Item" (id text primary key, "userId" text not null references "User" on delete restrict, "s3Key" text not null, "s3Bucket" text not null);
create table "Outfit" (id text primary key, "userId" text not null references "User" on delete restrict, name text);
create table "OutfitItem" ("outfitId" text not null references "Outfit" on delete restrict, "itemId" text not null references "Item" on delete restrict, primary key ("outfitId", "itemId"));
insert into "User" values ('c_a', 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'a@example.com'), ('c_b', 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'b@example.com');
insert into "Item" values ('i1', 'c_a', 'items/c_a/1.png', 'closet'), ('i2', 'c_a', 'items/c_b/1.png', 'closet'), ('i3', 'c_b', 'items/c_b/1.png', 'closet');
insert into "Outfit" values ('o1', 'c_a', 'blue');
insert into "OutfitItem" values ('o1', 'i1');
