import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: "./schema.ts",
  out: "./migrations",
  dbCredentials: { url: process.env.DATABASE_URL! },
  // Lethe's tables stand in schemas of their own, `lethe` and `lethe_map`. This is the default; it is written here,
  // because `push` drops what it sees and does not know.
  schemaFilter: ["public"],
});
