// Deletes a sample, restores it, deletes it for good, erases its user and reads the receipt, with a client that is
// generated from openapi/openapi.json.
import {
  deleteSample,
  eraseUser,
  getErasure,
  getSampleDeletion,
  getTask,
  listDeleted,
  listErasures,
  pause,
  restoreSample,
  resume,
} from "./generated/sdk.gen.js";
import { createClient } from "./generated/client/index.js";

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const sampleId = setting("SAMPLE_ID");
const userId = setting("USER_ID");
const client = createClient({ baseUrl: setting("BASE_URL"), auth: setting("ADMIN_TOKEN") });
const strict = { client, throwOnError: true } as const;

/** Asks again until `look` returns something, for at most 30 seconds. */
async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 300; tries++) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`waited in vain for ${what}`);
}

/** Whether the sample is in the list of what is deleted and not purged yet. */
async function isListed(): Promise<boolean> {
  const entityType = "sample";
  const { data } = await listDeleted({ ...strict, query: { entityType, entityId: sampleId } });
  return data.items.some((item) => item.id === sampleId);
}

function check(isTrue: boolean, otherwise: string): void {
  if (!isTrue) throw new Error(otherwise);
}

// While claiming is paused, the deletion waits and can be taken back.
const paused = await pause({ ...strict, body: { reason: "a test of the generated client" } });
check(paused.data.paused, "it is not paused");
const deleted = await deleteSample({ ...strict, path: { sampleId } });
check(deleted.data.status === "pending", `the task is ${deleted.data.status}`);
check(await isListed(), "the sample is not listed");
const restored = await restoreSample({ ...strict, path: { sampleId } });
check(restored.data.id === sampleId && !(await isListed()), "the sample is not restored");

const again = await deleteSample({ ...strict, path: { sampleId } });
console.log(`task ${again.data.id}: ${again.data.kind} of ${again.data.entityType} ${again.data.entityId}`);
await resume({ ...strict, body: { reason: "the test is over" } });
const task = await eventually("the task", async () => {
  const { data } = await getSampleDeletion({ ...strict, path: { sampleId } });
  return data.status === "completed" ? data : undefined;
});
console.log(`task ${task.id} is ${task.status} after ${task.attempts} attempt(s)`);
check(!(await isListed()), "the sample is still there");

const missing = await getTask({ client, path: { taskId: "999999999" } });
check(missing.error?.code === "task-not-found", JSON.stringify(missing.error));

const asked = await eraseUser({ ...strict, path: { userId }, query: { reason: "a test of the generated client" } });
check(asked.data.userKnown, `nobody knows ${userId}`);
const receipt = await eventually("the receipt", async () => {
  const { data } = await getErasure({ ...strict, path: { userId } });
  return data.status === "complete" ? data : undefined;
});
const erasures = await listErasures({ ...strict, query: { status: "complete" } });
check(erasures.data.items.some((erasure) => erasure.userId === userId), "the erasure is not listed");
console.log(`${userId}: ${receipt.status}, ${receipt.objectsDeleted} objects, by ${receipt.requestedBy}`);
