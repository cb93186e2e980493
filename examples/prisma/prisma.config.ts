import { defineConfig } from "prisma/config";

import { inWebAssembly } from "./engine";

export default defineConfig({
  schema: "prisma/schema.prisma",
  experimental: { adapter: true },
  engine: "js",
  adapter: async () => inWebAssembly(process.env.DATABASE_URL!),
});
