// Deletes a sample, watches its task, lists what is deleted, erases a user and reads the receipt, with a
// client that is generated from openapi/openapi.json.
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

const deleted = await lethe.DELETE("/samples/{sampleId}", { params: { path: { sampleId } } });
if (!deleted.data) throw new Error(JSON.stringify(deleted.error));
const taskId = deleted.data.id;
console.log(`task ${taskId}: ${deleted.data.kind} of ${deleted.data.entityType} ${deleted.data.entityId}`);

const task = await eventually("the task", async () => {
  const { data, error } = await lethe.GET("/samples/{sampleId}/deletion", { params: { path: { sampleId } } });
  if (!data) throw new Error(JSON.stringify(error));
  return data.status === "completed" ? data : undefined;
});
console.log(`task ${task.id} is ${task.status} after ${task.attempts} attempt(s)`);

const missing = await lethe.GET("/admin/cleanup-tasks/{taskId}", { params: { path: { taskId: "999999999" } } });
if (missing.error?.code !== "task-not-found") throw new Error(JSON.stringify(missing));

const list = await lethe.GET("/admin/deleted", { params: { query: { entityType: "sample" } } });
if (!list.data) throw new Error(JSON.stringify(list.error));
if (list.data.items.some((item) => item.id === sampleId)) throw new Error("it is still there");
console.log(`${list.data.items.length} samples are deleted and waiting`);

const asked = await lethe.DELETE("/admin/users/{userId}", { params: { path: { userId } } });
if (!asked.data?.userKnown) throw new Error(JSON.stringify(asked));
const receipt = await eventually("the receipt", async () => {
  const { data, error } = await lethe.GET("/admin/users/{userId}/erasure", {
    params: { path: { userId } },
  });
  if (!data) throw new Error(JSON.stringify(error));
  return data.status === "complete" ? data : undefined;
});
console.log(`${userId}: ${receipt.status}, ${receipt.objectsDeleted} objects, by ${receipt.requestedBy}`);
