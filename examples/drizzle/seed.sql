-- Three users. Alice is the one who leaves: she owns a workspace in which the two others work, too.
insert into users (id, clerk_id, email, created_at) values
  ('00000000-0000-4000-8000-00000000000a', 'user_alice', 'alice@example.com', '2026-01-01'),
  ('00000000-0000-4000-8000-00000000000b', 'user_bob', 'bob@example.com', '2026-01-01'),
  ('00000000-0000-4000-8000-00000000000c', 'user_carol', 'carol@example.com', '2026-01-01');

-- Both workspaces have one logo: the object stays.
insert into workspaces (id, owner_id, name, logo_key) values
  (1, '00000000-0000-4000-8000-00000000000a', 'Alice & Co', 'logos/default.svg'),
  (2, '00000000-0000-4000-8000-00000000000b', 'Bob Ltd', 'logos/default.svg'),
  (3, '00000000-0000-4000-8000-00000000000a', 'Alice at home', 'logos/alice.svg');

insert into members (workspace_id, user_id, invited_by_id, role) values
  (1, '00000000-0000-4000-8000-00000000000a', null, 'owner'),
  (1, '00000000-0000-4000-8000-00000000000b', '00000000-0000-4000-8000-00000000000a', 'agent'),
  (2, '00000000-0000-4000-8000-00000000000b', null, 'owner'),
  (2, '00000000-0000-4000-8000-00000000000c', '00000000-0000-4000-8000-00000000000a', 'agent'),
  (2, '00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b', 'agent');

insert into tickets (id, workspace_id, author_id, assignee_id, subject, deleted_at, created_at) values
  ('00000000-0000-4000-8000-000000000001', 1, '00000000-0000-4000-8000-00000000000c', null, 'In her workspace: goes', null, '2026-01-02'),
  ('00000000-0000-4000-8000-000000000002', 2, '00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b', 'Hers: goes', null, '2026-01-02'),
  ('00000000-0000-4000-8000-000000000003', 2, '00000000-0000-4000-8000-00000000000c', '00000000-0000-4000-8000-00000000000a', 'Hers to answer: stays, without her', null, '2026-01-02'),
  ('00000000-0000-4000-8000-000000000004', 2, '00000000-0000-4000-8000-00000000000b', null, 'Deleted by Bob himself', '2026-01-03', '2026-01-02');

insert into messages (id, ticket_id, author_clerk_id, body, created_at) values
  ('00000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-000000000001', 'user_carol', 'On a ticket that goes', '2026-01-02'),
  ('00000000-0000-4000-8000-000000000012', '00000000-0000-4000-8000-000000000002', 'user_bob', 'On a ticket that goes', '2026-01-02'),
  ('00000000-0000-4000-8000-000000000013', '00000000-0000-4000-8000-000000000003', 'user_alice', 'Hers', '2026-01-02'),
  ('00000000-0000-4000-8000-000000000014', '00000000-0000-4000-8000-000000000003', 'user_carol', 'Stays', '2026-01-02');

insert into attachments (id, record_type, record_id, object_key) values
  ('00000000-0000-4000-8000-000000000021', 'ticket', '00000000-0000-4000-8000-000000000002', 'attachments/2/screen.png'),
  ('00000000-0000-4000-8000-000000000022', 'message', '00000000-0000-4000-8000-000000000012', 'attachments/2/answer.pdf'),
  ('00000000-0000-4000-8000-000000000023', 'message', '00000000-0000-4000-8000-000000000013', 'attachments/3/manual.pdf'),
  ('00000000-0000-4000-8000-000000000024', 'message', '00000000-0000-4000-8000-000000000014', 'attachments/3/manual.pdf'),
  ('00000000-0000-4000-8000-000000000025', 'ticket', '00000000-0000-4000-8000-000000000003', 'attachments/3/log.txt'),
  -- The id of a ticket under the type of a message points at nothing.
  ('00000000-0000-4000-8000-000000000026', 'message', '00000000-0000-4000-8000-000000000002', 'attachments/lost.txt');

insert into audit_log (id, actor_clerk_id, action, ip, details, created_at) values
  (1, 'user_alice', 'sign-in', '192.0.2.1', '{"browser": "Firefox"}', '2026-01-02'),
  (2, 'user_bob', 'sign-in', '192.0.2.2', '{"browser": "Chrome"}', '2026-01-02');
