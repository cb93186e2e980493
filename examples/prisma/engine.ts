// Prisma's schema engine as WebAssembly, which comes with its npm package and needs no download. Its adapter for
// PostgreSQL cannot read two types of the catalog and cannot drop its shadow database (prisma/prisma#27403); both are
// mended here. An application that can download Prisma's engine needs none of this.
import { randomUUID } from "node:crypto";

import { PrismaPg } from "@prisma/adapter-pg";

type Adapter = Awaited<ReturnType<PrismaPg["connect"]>>;
type Result = { fields: { dataTypeID: number }[] };

/** Types of the catalog, and those that stand for them: name is read as text, "char" as character(1). */
const READABLE: Record<number, number> = { 19: 25, 18: 1042 };

function readable(adapter: Adapter): Adapter {
  const inner = adapter as unknown as { performIO(query: unknown): Promise<Result | Result[]> };
  const performIO = inner.performIO.bind(adapter);
  inner.performIO = async (query) => {
    const result = await performIO(query);
    // A script of several statements has several results.
    for (const field of [result].flat().flatMap((one) => one.fields)) {
      field.dataTypeID = READABLE[field.dataTypeID] ?? field.dataTypeID;
    }
    return result;
  };
  return adapter;
}

/** The engine on the database of a URL. */
export function inWebAssembly(databaseUrl: string) {
  const url = new URL(databaseUrl);
  const at = (database: string) =>
    new PrismaPg({
      host: url.hostname,
      port: Number(url.port || 5432),
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database,
    });
  const own = at(decodeURIComponent(url.pathname.slice(1)));
  return {
    provider: own.provider,
    adapterName: own.adapterName,
    connect: async () => readable(await own.connect()),
    // A database beside the real one, in which the migrations are tried from the beginning.
    connectToShadowDb: async () => {
      const name = `prisma_shadow_${randomUUID()}`;
      const beside = await own.connect();
      await beside.executeScript(`create database "${name}"`);
      const shadow = readable(await at(name).connect());
      const dispose = shadow.dispose.bind(shadow);
      shadow.dispose = async () => {
        await dispose();
        await beside.executeScript(`drop database "${name}" with (force)`);
        await beside.dispose();
      };
      return shadow;
    },
  };
}
