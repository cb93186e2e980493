import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { startLethe, until } from "./support/lethe.mjs";
import { settled, startBrowser, stopBrowser, visit, withPanel } from "./support/panel.mjs";

// An object cannot have a key of more than 1,024 bytes (S3 user guide, object keys). Such a task ends dead at once.
const IMPOSSIBLE_KEY = "k".repeat(1100);
const DEAD = 3;

let lethe;
before(async () => {
  await startBrowser();
  lethe = await startLethe(["--seed", "10", "--cleanup-grace-period-ms", "3600000", "--cleanup-max-attempts", "1"]);
  for (let number = 1; number <= DEAD; number += 1) await makeDead(number);
  await until("the dead tasks", async () => (await stats()).dead === DEAD);
  // One that waits, and one that is done.
  const waiting = await lethe.sql("select id from public.samples where user_id = 'user_seed_8' order by id limit 1");
  assert.equal((await lethe.call("DELETE", `/samples/${waiting}`)).status, 202);
  assert.equal((await lethe.call("DELETE", "/admin/users/user_seed_9")).status, 202);
  await until("the erasure", async () => (await lethe.call("GET", "/admin/users/user_seed_9/erasure")).body.status === "complete");
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});
const panel = (path, options, body) => withPanel(() => lethe, path, options, body);
const stats = async () => (await lethe.call("GET", "/admin/stats")).body.tasks;

/** Deletes an image of a live sample whose object cannot exist. */
async function makeDead(number) {
  await lethe.sql(`
    with image as (
      insert into public.sample_images (sample_id, object_key)
      select id, '${IMPOSSIBLE_KEY}${number}' from public.samples where user_id = 'user_seed_${number}' order by id limit 1
      returning id)
    select 1 from image`);
  await lethe.sql(`
    select lethe.delete_image(id, 'a test') from public.sample_images where object_key = '${IMPOSSIBLE_KEY}${number}'`);
}

const rows = (page) => page.locator("main [data-row]");

test("the tabs show the tasks of one status each, with their number", panel("tasks", {}, async (page) => {
  const tabs = page.getByRole("group", { name: "Status of the tasks" });
  await tabs.getByRole("button", { name: `dead ${DEAD}` }).click();
  await settled(page);
  assert.equal(new URL(page.url()).search, "?status=dead");
  assert.equal(await rows(page).count(), DEAD);
  assert.deepEqual(await page.locator("main .status").allTextContents(), ["dead", "dead", "dead"]);
  await tabs.getByRole("button", { name: "pending 1" }).click();
  await settled(page);
  assert.equal(await rows(page).count(), 1);
  await tabs.getByRole("button", { name: "running 0" }).click();
  await settled(page);
  assert.match(await page.locator("main .empty").textContent(), /No task is running/);
  await page.goBack();
  await settled(page);
  assert.equal(await rows(page).count(), 1);
}));

test("filters stand in the address, and survive a reload", panel("tasks", {}, async (page) => {
  await page.getByLabel("Error").selectOption("permanent");
  await settled(page);
  assert.equal(await rows(page).count(), DEAD);
  await page.getByRole("searchbox", { name: "User", exact: true }).fill("user_seed_2");
  await page.keyboard.press("Enter");
  await settled(page);
  await until("the filtered row", async () => (await rows(page).count()) === 1);
  assert.equal(new URL(page.url()).search, "?errorClass=permanent&userId=user_seed_2");
  await page.reload();
  await settled(page);
  assert.equal(await rows(page).count(), 1);
  assert.equal(await page.getByLabel("Error").inputValue(), "permanent");
  await page.getByLabel("Kind").selectOption("user-delete");
  await settled(page);
  await page.getByText("No task matches these filters.").waitFor();
  await page.getByLabel("Kind").selectOption("image-delete");
  await until("the row of that kind", async () => (await rows(page).count()) === 1);
  await page.getByRole("searchbox", { name: "Of a" }).fill("sample");
  await page.keyboard.press("Enter");
  await page.getByText("No task matches these filters.").waitFor();
  await page.getByRole("button", { name: "Clear filters" }).click();
  await settled(page);
  assert.equal(new URL(page.url()).search, "");
}));

test("one field finds a task, a user and an entity", panel("tasks", {}, async (page) => {
  const field = page.getByLabel("Find by task, user or entity");
  await field.fill("user_seed_3");
  await page.keyboard.press("Enter");
  await settled(page);
  assert.equal(new URL(page.url()).search, "?userId=user_seed_3");
  const id = await rows(page).first().locator("a").first().textContent();
  const entity = await lethe.sql(`select entity_id from lethe.cleanup_tasks where id = ${id}`);
  await field.fill(entity);
  await page.keyboard.press("Enter");
  await until("the address", () => new URL(page.url()).search === `?entityId=${entity}`);
  await settled(page);
  assert.equal(await rows(page).count(), 1);
  await field.fill(id);
  await page.keyboard.press("Enter");
  await until("the task's page", () => new URL(page.url()).pathname === `/panel/tasks/${id}`);
  assert.ok(!(await page.title()).includes(id), await page.title());
}));

test("a user whose id begins in another way is found too", panel("tasks", {}, async (page) => {
  await lethe.sql("update lethe.cleanup_tasks set user_id = 'person-2' where user_id = 'user_seed_2'");
  const field = page.getByLabel("Find by task, user or entity");
  await field.fill("person-2");
  await page.keyboard.press("Enter");
  await until("the address", () => new URL(page.url()).search === "?userId=person-2");
  await settled(page);
  assert.equal(await rows(page).count(), 1);
  await lethe.sql("update lethe.cleanup_tasks set user_id = 'user_seed_2' where user_id = 'person-2'");
}));

test("the parts of a task are found by its number", panel("tasks", {}, async (page) => {
  const id = await lethe.sql("select id from lethe.tasks where user_id = 'user_seed_9' and kind = 'user-delete'");
  await page.getByRole("searchbox", { name: "Part of task" }).fill(id);
  await page.keyboard.press("Enter");
  await until("the address", () => new URL(page.url()).search === `?parentId=${id}`);
  await settled(page);
  const parts = await lethe.sql(`select count(*) from lethe.tasks where parent_id = ${id}`);
  assert.equal(String(await rows(page).count()), parts);
}));

test("a page of one task shows its attempts, its error and its remaining keys", panel("tasks?status=dead", {}, async (page) => {
  await rows(page).first().locator("a").first().click();
  await page.getByText("Timeline, oldest first").waitFor();
  await settled(page);
  const events = await page.locator(".timeline li > strong:first-child").allTextContents();
  assert.deepEqual(events, ["image-deletion-requested", "task-dead"]);
  assert.match(await page.locator("main").textContent(), /permanent/);
  assert.equal(await page.locator(".keys-list li").count(), 1);
  await page.getByRole("button", { name: /Copy the object key/ }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied.length, IMPOSSIBLE_KEY.length + 1);
}));

test("a page of a task that runs names the worker, its lease, the next try and the rows that remain", panel("tasks?status=dead", {}, async (page) => {
  const id = await rows(page).first().locator("a").first().textContent();
  await page.route(`**/admin/cleanup-tasks/${id}`, async (route) => {
    const response = await route.fetch();
    const soon = new Date(Date.now() + 30_500).toISOString();
    const changed = { status: "running", leaseOwner: "worker-7", leaseExpiresAt: soon, scheduledAt: soon };
    await route.fulfill({ response, json: { ...(await response.json()), ...changed } });
  });
  await visit(page, lethe, `tasks/${id}`);
  const facts = page.getByRole("region", { name: "The task" });
  await facts.getByText("worker-7", { exact: true }).waitFor();
  await facts.getByText(/^in (2\d|30) seconds$/).first().waitFor();
  await page.getByRole("region", { name: "What remains" }).getByText("1 row of sample-image").waitFor();
}));

test("a task that waits says when its next try is", panel("tasks?status=pending", {}, async (page) => {
  const next = rows(page).first().locator("td").last();
  assert.match(await next.textContent(), /^in \d+ (hour|minutes)/);
  assert.match(await next.locator("time").getAttribute("title"), / UTC$/);
}));

test("a task that does not exist is said to be none", panel("tasks/999999", { refusals: [404] }, async (page) => {
  await page.getByText("There is no task 999999").waitFor();
}));

test("one task is retried with a reason, which the audit trail keeps", panel("tasks?status=dead", {}, async (page) => {
  await rows(page).first().locator("a").first().click();
  await page.getByRole("button", { name: "Retry" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("1 task will be tried again").waitFor();
  assert.ok(await dialog.getByRole("button", { name: "Retry" }).isDisabled(), "a retry needs a reason");
  await dialog.getByLabel("Reason").fill("The key is mended.");
  await dialog.getByRole("button", { name: "Retry" }).click();
  await page.getByText("The task is tried again.").waitFor();
  const kept = "select count(*) from lethe.cleanup_audit where event = 'task-retried' and detail = 'The key is mended.'";
  assert.equal(await lethe.sql(kept), "1");
  await until("the task to be dead again", async () => (await stats()).dead === DEAD);
}));

test("the selected tasks are retried, and no other", panel("tasks?status=dead", {}, async (page) => {
  await page.getByLabel(/^Choose \d+$/).first().check();
  await page.getByLabel(/^Choose \d+$/).nth(1).check();
  await page.getByRole("button", { name: "Retry 2 selected tasks" }).click();
  await page.getByLabel("Reason").fill("Two of them.");
  await page.getByRole("dialog").getByRole("button", { name: /^Retry/ }).click();
  await page.getByText("2 tasks are tried again.").waitFor();
  assert.equal(await lethe.sql("select count(*) from lethe.cleanup_audit where detail = 'Two of them.'"), "2");
  await until("the tasks to be dead again", async () => (await stats()).dead === DEAD);
}));

test("all that match are retried after a preview of their number, and a cancelled question does nothing", panel("tasks?status=dead&errorClass=permanent", {}, async (page) => {
  const dialog = page.getByRole("dialog");
  await page.getByRole("button", { name: "Retry all that match" }).click();
  await dialog.getByText(`${DEAD} tasks`).waitFor();
  await dialog.getByText("errorClass permanent").waitFor();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Retry all that match" }).click();
  await dialog.getByLabel("Reason").fill("All of them.");
  await page.keyboard.press("Enter");
  await page.getByText(`${DEAD} tasks are tried again.`).waitFor();
  assert.equal(await lethe.sql("select count(*) from lethe.cleanup_audit where detail = 'All of them.'"), String(DEAD));
  await until("the tasks to be dead again", async () => (await stats()).dead === DEAD);
}));

test("a row is reached and opened by keys", panel("tasks?status=dead", {}, async (page) => {
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  const focused = () => page.evaluate(() => document.activeElement?.dataset?.href);
  const second = await rows(page).nth(1).getAttribute("data-href");
  assert.equal(await focused(), second);
  await page.keyboard.press("k");
  assert.equal(await focused(), await rows(page).first().getAttribute("data-href"));
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await until("the task's page", () => page.url().endsWith(second));
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await until("the audit trail", () => page.url().endsWith("/panel/audit"));
  await settled(page);
  await page.locator("[name=actor]").waitFor();
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("name")), "actor");
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByText("Go to the next or the previous row").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
}));

test("the audit trail is filtered, opened and exported as JSON lines", panel("audit", {}, async (page) => {
  await page.getByLabel("Event").selectOption("task-retried");
  await settled(page);
  await page.getByRole("searchbox", { name: "Actor" }).fill("admin:dev");
  await page.keyboard.press("Enter");
  await until("the address", () => new URL(page.url()).search === "?event=task-retried&actor=admin%3Adev");
  await settled(page);
  const events = await lethe.sql("select count(*) from lethe.cleanup_audit where event = 'task-retried'");
  assert.equal(String(await rows(page).count()), events);
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export as JSON lines" }).click();
  const text = await readFile(await (await download).path(), "utf8");
  const entries = text.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.equal(String(entries.length), events);
  assert.ok(entries.every(({ event, actor }) => event === "task-retried" && actor === "admin:dev"));
  await page.getByRole("searchbox", { name: "User", exact: true }).fill("user_seed_2");
  await page.keyboard.press("Enter");
  const ofUser = await lethe.sql("select count(*) from lethe.cleanup_audit where event = 'task-retried' and user_id = 'user_seed_2'");
  await until("the entries of the user", async () => String(await rows(page).count()) === ofUser);
  await page.getByLabel("From").fill("2099-01-01T00:00");
  await page.keyboard.press("Enter");
  await page.getByText("No entry matches these filters.").waitFor();
  assert.equal(new URL(page.url()).searchParams.get("after"), "2099-01-01T00:00:00.000Z");
}));

test("the audit trail is filtered by entity, by task and by its end", panel("audit", {}, async (page) => {
  const [task, entity] = (await lethe.sql("select id, entity_id from lethe.tasks where status = 'dead' order by id limit 1")).split("|");
  const count = (/** @type {string} */ where) => lethe.sql(`select count(*) from lethe.cleanup_audit where ${where}`);
  const fields = [["Entity", entity, `entity_id = '${entity}'`], ["Task", task, `task_id = ${task}`]];
  for (const [name, value, where] of fields) {
    const expected = await count(where);
    assert.notEqual(expected, "0", where);
    await page.getByRole("searchbox", { name, exact: true }).fill(value);
    await page.keyboard.press("Enter");
    await until(`the entries of ${name}`, async () => String(await rows(page).count()) === expected);
    await page.getByRole("button", { name: "Clear filters" }).click();
    await settled(page);
  }
  await page.getByLabel("Until").fill("2001-01-01T00:00");
  await page.keyboard.press("Enter");
  await page.getByText("No entry matches these filters.").waitFor();
  assert.equal(new URL(page.url()).searchParams.get("before"), "2001-01-01T00:00:00.000Z");
}));

test("every page has its key", panel("tasks", {}, async (page) => {
  await page.keyboard.press("?");
  const dialog = page.getByRole("dialog");
  await dialog.locator("dt").first().waitFor();
  const keys = (await dialog.locator("dt").allTextContents()).filter((key) => key.startsWith("g "));
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  const seen = new Set();
  for (const key of keys) {
    await page.keyboard.press("g");
    await page.keyboard.press(key.slice(2));
    await until(`the page of ${key}`, () => !seen.has(new URL(page.url()).pathname));
    await settled(page);
    seen.add(new URL(page.url()).pathname);
  }
  assert.equal(seen.size, 7, [...seen].join());
}));

test("a list is read page by page, and back leads to the page before", panel("", {}, async (page) => {
  await lethe.sql("select lethe.delete_user('user_many_' || n, 'a test') from generate_series(1, 60) n");
  await until("the erasures", async () => (await stats()).pending === 1 && (await stats()).running === 0);
  await visit(page, lethe, "tasks?status=completed&entityType=user");
  assert.equal(await rows(page).count(), 50);
  await page.getByRole("link", { name: "Older" }).click();
  await settled(page);
  await page.getByText("This is the end of the list.").waitFor();
  const second = await rows(page).first().getAttribute("data-href");
  await page.reload();
  await settled(page);
  assert.equal(await rows(page).first().getAttribute("data-href"), second);
  await page.goBack();
  await settled(page);
  await until("the first page", async () => (await rows(page).count()) === 50);
}));
