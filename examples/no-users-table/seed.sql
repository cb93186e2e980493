-- Three people. Alice is the one who leaves.
insert into documents (id, user_id, title, file_key, cover_url, deleted_at) values
  (1, 'user_alice', 'Hers', 'uploads/user_alice/1.pdf', 'https://files.example.com/covers/blue.png?w=200', null),
  (2, 'user_alice', 'Hers, deleted before', 'uploads/user_alice/2.pdf', 'https://files.example.com/covers/alice.png', '2026-01-03'),
  (3, 'user_bob', 'Of Bob, with the same cover', 'uploads/user_bob/3.pdf', 'https://files.example.com/covers/blue.png', null),
  (4, 'user_alice', 'Hers, with a picture of another site', 'uploads/user_alice/4.pdf', 'https://img.example.org/4.png', null);

insert into chats (id, user_id, document_id, created_at) values
  (1, 'user_alice', 1, '2026-01-02'),
  (2, 'user_bob', 1, '2026-01-02'),
  (3, 'user_carol', 3, '2026-01-02');

insert into messages (id, chat_id, role, content) values
  (1, 1, 'user', 'Hers'), (2, 1, 'assistant', 'An answer to her'),
  (3, 2, 'user', 'Of Bob, about her document'), (4, 3, 'user', 'Of Carol');

insert into shares (document_id, user_id, granted_by) values
  (1, 'user_bob', 'user_alice'),
  (3, 'user_alice', 'user_bob'),
  (3, 'user_carol', 'user_alice');

insert into orders (id, customer_id, email, receipt_key, cents) values
  ('00000000-0000-4000-8000-000000000001', 'user_alice', 'alice@example.com', 'receipts/1.pdf', 900),
  ('00000000-0000-4000-8000-000000000002', 'user_bob', 'bob@example.com', 'receipts/2.pdf', 900);

insert into usage_counters (user_id, month, tokens) values
  ('user_alice', '2026-01-01', 1200), ('user_bob', '2026-01-01', 300);
