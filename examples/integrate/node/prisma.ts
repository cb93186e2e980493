import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "./generated/client.ts";
import { story } from "./story.ts";

const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }) });

// The account is closed and its erasure asked for, or neither.
async function closeAccount(userId: string): Promise<void> {
  await prisma.$transaction(async (tx) => {
    await tx.closedAccount.create({ data: { userId } });
    await tx.$queryRaw`select lethe.delete_user(${userId}, ${`user:${userId}`})`;
  });
}

// Null if there is no such sample. It can be restored for seven days.
async function deleteSample(sampleId: string, userId: string): Promise<bigint | null> {
  const [row] = await prisma.$queryRaw<{ task: bigint | null }[]>`
    select lethe.delete_sample(${sampleId}::uuid, ${`user:${userId}`}, '7 days') as task`;
  return row?.task ?? null;
}

await story({ closeAccount, deleteSample });
await prisma.$disconnect();
