import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { pgTable, text, timestamp } from "drizzle-orm/pg-core";
import pg from "pg";
import { story } from "./story.ts";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
const db = drizzle(pool);
const closedAccounts = pgTable("closed_accounts", {
  userId: text("user_id").primaryKey(),
  closedAt: timestamp("closed_at", { withTimezone: true }).notNull().defaultNow(),
});

// The account is closed and its erasure asked for, or neither.
async function closeAccount(userId: string): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.insert(closedAccounts).values({ userId });
    await tx.execute(sql`select lethe.delete_user(${userId}, ${`user:${userId}`})`);
  });
}

// Null if there is no such sample. It can be restored for seven days.
async function deleteSample(sampleId: string, userId: string): Promise<bigint | null> {
  const result = await db.execute<{ task: string | null }>(
    sql`select lethe.delete_sample(${sampleId}, ${`user:${userId}`}, '7 days') as task`,
  );
  const task = result.rows[0]?.task;
  return task == null ? null : BigInt(task);
}

await story({ closeAccount, deleteSample });
await pool.end();
