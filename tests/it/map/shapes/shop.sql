-- A shop: no table of users, two hops, images in JSON, orders that stay.
create table stores (id serial primary key, user_id varchar(36) not null, name varchar(255));
create table products (id serial primary key, store_id int not null, name text, images json);
create table orders (id serial primary key, store_id int not null, items json, name text, email text, total numeric);
insert into stores (user_id, name) values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'a'), ('user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'b');
insert into products (store_id, name, images) values (1, 'p', '[{"id": "1", "url": "https://utfs.io/f/1.png"}]'), (2, 'p', '[{"id": "1", "url": "https://utfs.io/f/1.png"}, {"url": "https://utfs.io/f/2.png"}]');
insert into orders (store_id, name, email) values (1, 'Buyer', 'buyer@example.com'), (2, 'Buyer', 'buyer@example.com');
