// What each example must do: commit both or neither, and say whether there was a sample.
import assert from "node:assert/strict";
import pg from "pg";

export interface Application {
  closeAccount(userId: string): Promise<void>;
  deleteSample(sampleId: string, userId: string): Promise<bigint | null>;
}

export async function story(application: Application): Promise<void> {
  // Sees what the application's account may not.
  const owner = new pg.Client({ connectionString: process.env.OWNER_URL });
  await owner.connect();
  const count = async (from: string, id: string): Promise<number> =>
    Number((await owner.query(`select count(*) from ${from}`, [id])).rows[0].count);
  const user = `user_${crypto.randomUUID()}`;
  await owner.query("insert into public.users (id) values ($1)", [user]);
  const sample: string = (
    await owner.query("insert into public.samples (user_id) values ($1) returning id", [user])
  ).rows[0].id;

  assert.notEqual(await application.deleteSample(sample, user), null);
  assert.equal(await application.deleteSample(crypto.randomUUID(), user), null);
  assert.equal(await count("public.samples where is_deleted and id = $1", sample), 1);

  // The second insert of one account fails, so nothing is asked for either.
  await owner.query("insert into public.closed_accounts (user_id) values ($1)", [user]);
  await assert.rejects(application.closeAccount(user));
  assert.equal(await count("lethe.user_tombstones where user_id = $1", user), 0);

  await owner.query("delete from public.closed_accounts where user_id = $1", [user]);
  await application.closeAccount(user);
  assert.equal(await count("public.closed_accounts where user_id = $1", user), 1);
  assert.equal(await count("lethe.user_tombstones where user_id = $1", user), 1);
  await owner.end();
}
