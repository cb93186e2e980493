// A help desk. People sign in with Clerk; their id here is a uuid.
import {
  bigint,
  bigserial,
  index,
  inet,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uuid,
} from "drizzle-orm/pg-core";

const createdAt = () => timestamp("created_at", { withTimezone: true }).notNull().defaultNow();

export const users = pgTable("users", {
  id: uuid("id").primaryKey().defaultRandom(),
  clerkId: text("clerk_id").notNull().unique(),
  email: text("email").notNull(),
  createdAt: createdAt(),
});

export const workspaces = pgTable(
  "workspaces",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    ownerId: uuid("owner_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    name: text("name").notNull(),
    logoKey: text("logo_key"),
  },
  (table) => [index("workspaces_owner_id").on(table.ownerId), index("workspaces_logo_key").on(table.logoKey)],
);

export const members = pgTable(
  "members",
  {
    workspaceId: bigint("workspace_id", { mode: "number" })
      .notNull()
      .references(() => workspaces.id, { onDelete: "cascade" }),
    userId: uuid("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    invitedById: uuid("invited_by_id").references(() => users.id, { onDelete: "set null" }),
    role: text("role").notNull().default("agent"),
  },
  (table) => [
    primaryKey({ columns: [table.workspaceId, table.userId] }),
    index("members_user_id").on(table.userId),
    index("members_invited_by_id").on(table.invitedById),
  ],
);

export const tickets = pgTable(
  "tickets",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    workspaceId: bigint("workspace_id", { mode: "number" })
      .notNull()
      .references(() => workspaces.id, { onDelete: "cascade" }),
    authorId: uuid("author_id")
      .notNull()
      .references(() => users.id),
    assigneeId: uuid("assignee_id").references(() => users.id, { onDelete: "set null" }),
    subject: text("subject").notNull(),
    deletedAt: timestamp("deleted_at", { withTimezone: true }),
    createdAt: createdAt(),
  },
  (table) => [
    index("tickets_workspace_id").on(table.workspaceId),
    index("tickets_author_id").on(table.authorId),
    index("tickets_assignee_id").on(table.assigneeId),
  ],
);

// Messages also come in by e-mail, through a service that knows Clerk's id alone: no foreign key.
export const messages = pgTable(
  "messages",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    ticketId: uuid("ticket_id")
      .notNull()
      .references(() => tickets.id, { onDelete: "cascade" }),
    authorClerkId: text("author_clerk_id").notNull(),
    body: text("body").notNull(),
    createdAt: createdAt(),
  },
  (table) => [
    index("messages_ticket_id").on(table.ticketId),
    index("messages_author_clerk_id").on(table.authorClerkId),
  ],
);

// A file of a ticket or of a message.
export const attachments = pgTable(
  "attachments",
  {
    id: uuid("id").primaryKey().defaultRandom(),
    recordType: text("record_type").notNull(),
    recordId: uuid("record_id").notNull(),
    objectKey: text("object_key").notNull(),
  },
  (table) => [
    index("attachments_record").on(table.recordId, table.recordType),
    index("attachments_object_key").on(table.objectKey),
  ],
);

export const auditLog = pgTable(
  "audit_log",
  {
    id: bigserial("id", { mode: "number" }).primaryKey(),
    actorClerkId: text("actor_clerk_id"),
    action: text("action").notNull(),
    ip: inet("ip"),
    details: jsonb("details"),
    createdAt: createdAt(),
  },
  (table) => [index("audit_log_actor_clerk_id").on(table.actorClerkId)],
);
