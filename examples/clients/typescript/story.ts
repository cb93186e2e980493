// Deletes a sample, restores it, deletes it for good, erases its user and reads the receipt, with a client that is
// generated from openapi/openapi.json.
import createClient from "openapi-fetch";
import type { paths } from "./generated.js";

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const sampleId = setting("SAMPLE_ID");
const userId = setting("USER_ID");
const lethe = createClient<paths>({
  baseUrl: setting("BASE_URL"),
  headers: { Authorization: `Bearer ${setting("ADMIN_TOKEN")}` },
});

/** Asks again until `look` returns something, for at most 30 seconds. */
async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 300; tries++) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`waited in vain for ${what}`);
}

/** The data of an answer, unless it is a problem. */
function good<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

function check(isTrue: boolean, otherwise: string): void {
  if (!isTrue) throw new Error(otherwise);
}

/** Whether the sample is in the list of what is deleted and not purged yet. */
async function isListed(): Promise<boolean> {
  const query = { entityType: "sample", entityId: sampleId } as const;
  return good(await lethe.GET("/admin/deleted", { params: { query } })).items.some((item) => item.id === sampleId);
}

// While claiming is paused, the deletion waits and can be taken back.
const sample = { params: { path: { sampleId } } };
const paused = good(await lethe.POST("/admin/pause", { body: { reason: "a test of the generated client" } }));
check(paused.paused, "it is not paused");
const deleted = good(await lethe.DELETE("/samples/{sampleId}", sample));
check(deleted.status === "pending", `the task is ${deleted.status}`);
check(await isListed(), "the sample is not listed");
const restored = good(await lethe.POST("/samples/{sampleId}/restore", sample));
check(restored.id === sampleId && !(await isListed()), "the sample is not restored");

const again = good(await lethe.DELETE("/samples/{sampleId}", sample));
console.log(`task ${again.id}: ${again.kind} of ${again.entityType} ${again.entityId}`);
good(await lethe.POST("/admin/resume", { body: { reason: "the test is over" } }));
const task = await eventually("the task", async () => {
  const found = good(await lethe.GET("/samples/{sampleId}/deletion", sample));
  return found.status === "completed" ? found : undefined;
});
console.log(`task ${task.id} is ${task.status} after ${task.attempts} attempt(s)`);
check(!(await isListed()), "the sample is still there");

const missing = await lethe.GET("/admin/cleanup-tasks/{taskId}", { params: { path: { taskId: "999999999" } } });
check(missing.error?.code === "task-not-found", JSON.stringify(missing.error));

const user = { params: { path: { userId } } };
const asked = good(await lethe.DELETE("/admin/users/{userId}", user));
check(asked.userKnown, `nobody knows ${userId}`);
const receipt = await eventually("the receipt", async () => {
  const found = good(await lethe.GET("/admin/users/{userId}/erasure", user));
  return found.status === "complete" ? found : undefined;
});
const erasures = good(await lethe.GET("/admin/erasures", { params: { query: { status: "complete" } } }));
check(erasures.items.some((erasure) => erasure.userId === userId), "the erasure is not listed");
console.log(`${userId}: ${receipt.status}, ${receipt.objectsDeleted} objects, by ${receipt.requestedBy}`);
