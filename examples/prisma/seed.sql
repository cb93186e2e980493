-- Three users. Alice is the one who leaves.
insert into "User" (id, "clerkId", email, name, "avatarUrl", "createdAt") values
  ('usr-alice', 'user_alice', 'alice@example.com', 'Alice', 'https://cdn.acme.com/avatars/usr-alice/me.png?v=3', '2026-01-01'),
  ('usr-bob', 'user_bob', 'bob@example.com', 'Bob', 'https://CDN.acme.com/avatars/usr-bob/me.png', '2026-01-01'),
  ('usr-carol', 'user_carol', 'carol@example.com', null, 'https://img.clerk.com/carol.png', '2026-01-01');

insert into "Project" (id, name, "ownerId", "isDeleted", "deletedAt") values
  ('prj-a', 'Hers: goes', 'usr-alice', false, null),
  ('prj-b', 'Of Bob: stays', 'usr-bob', false, null),
  ('prj-c', 'Hers, and she deleted it before', 'usr-alice', true, '2026-01-03');

-- The key assets/b/plan.pdf is named by an asset that goes and by one that stays; thumbs/shared.webp, too.
insert into "Asset" (id, title, "projectId", "uploaderId", attachments, "thumbnailKeys") values
  ('ast-1', 'Hers', 'prj-a', 'usr-alice', '[{"key": "assets/a/plan.pdf", "bytes": 10}, {"key": "assets/b/plan.pdf", "bytes": 20}]', '{thumbs/1.webp,thumbs/shared.webp}'),
  ('ast-2', 'Of Bob in her project: goes', 'prj-a', 'usr-bob', '[{"key": "assets/a/bob.pdf", "bytes": 30}]', '{}'),
  ('ast-3', 'Hers in a project of Bob: stays, without her', 'prj-b', 'usr-alice', '[{"key": "assets/b/plan.pdf", "bytes": 20}]', '{thumbs/3.webp,thumbs/shared.webp}'),
  ('ast-4', 'In her deleted project', 'prj-c', null, '[{"note": "no key"}, {"key": null}]', '{thumbs/4.webp}');

insert into "Comment" (id, body, "assetId", "authorId", "parentId") values
  ('com-1', 'Hers', 'ast-3', 'usr-alice', null),
  ('com-2', 'A reply of Carol: stays, without its parent', 'ast-3', 'usr-carol', 'com-1'),
  ('com-3', 'Of Carol on an asset that goes', 'ast-1', 'usr-carol', null),
  ('com-4', 'Of Bob: stays', 'ast-3', 'usr-bob', 'com-2');

insert into "Like" ("userId", "assetId") values
  ('usr-alice', 'ast-3'), ('usr-bob', 'ast-1'), ('usr-carol', 'ast-3');

insert into "Invoice" (id, number, "userId", cents, "billingName", "billingEmail", "issuedAt") values
  ('inv-1', '2026-0001', 'usr-alice', 1900, 'Alice Example', 'alice@example.com', '2026-01-02'),
  ('inv-2', '2026-0002', 'usr-bob', 1900, 'Bob Example', 'bob@example.com', '2026-01-02');

insert into "Session" (id, "clerkUserId", "userAgent", "lastSeenAt") values
  ('ses-1', 'user_alice', 'Firefox', '2026-01-02'),
  ('ses-2', 'user_bob', 'Chrome', '2026-01-02');
