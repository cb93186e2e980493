import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { needs, startLethe, until } from "./support/lethe.mjs";
import { settled, startBrowser, stopBrowser, visit, withPanel } from "./support/panel.mjs";

const IMPOSSIBLE_KEY = "k".repeat(1100);

let lethe;
before(async () => {
  await startBrowser();
  lethe = await startLethe(["--seed", "4", "--cleanup-max-attempts", "1"]);
  await lethe.sql(`insert into public.sample_images (sample_id, object_key)
    select id, '${IMPOSSIBLE_KEY}' from public.samples where user_id = 'user_seed_2' order by id limit 1`);
  for (const user of ["user_seed_1", "user_seed_2"]) {
    assert.equal((await lethe.call("DELETE", `/admin/users/${user}`)).status, 202);
  }
  await lethe.sql("select lethe.delete_user('user_never_seen', 'a script')");
  const status = async (user) => (await lethe.call("GET", `/admin/users/${user}/erasure`)).body.status;
  await until("the complete erasures", async () => (await status("user_seed_1")) === "complete" && (await status("user_never_seen")) === "complete");
  await until("the incomplete erasure", async () => (await status("user_seed_2")) === "incomplete");
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});
const panel = (path, options, body) => withPanel(() => lethe, path, options, body);
const list = (page) => page.getByRole("region", { name: "Erasures", exact: true });
const rows = (page) => list(page).locator("[data-row]");
const users = (page) => rows(page).locator("td:first-child a").allTextContents();

test("erasures are filtered by status, by who asked and by when", needs("listErasures"), panel("erasures", {}, async (page) => {
  assert.equal(await rows(page).count(), 3);
  await page.getByLabel("Status").selectOption("incomplete");
  await until("the incomplete erasure", async () => (await users(page)).join() === "user_seed_2");
  await page.getByLabel("Status").selectOption("");
  await page.getByRole("searchbox", { name: "Requested by" }).fill("a script");
  await page.keyboard.press("Enter");
  await until("the erasure of the script", async () => (await users(page)).join() === "user_never_seen");
  assert.equal(new URL(page.url()).search, "?requestedBy=a+script");
  await page.getByLabel("Requested before").fill("2001-01-01T00:00");
  await page.keyboard.press("Enter");
  await page.getByText("No erasure matches these filters.").waitFor();
  await page.goBack();
  await until("the erasure of the script", async () => (await users(page)).join() === "user_never_seen");
  await page.getByLabel("Requested after").fill("2099-01-01T00:00");
  await page.keyboard.press("Enter");
  await page.getByText("No erasure matches these filters.").waitFor();
  assert.equal(new URL(page.url()).searchParams.get("requestedAfter"), "2099-01-01T00:00:00.000Z");
}));

test("what is typed into a filter outlives a refresh of the list", needs("listErasures"), panel("erasures", {}, async (page) => {
  const box = page.getByRole("searchbox", { name: "Requested by" });
  await box.fill("a scr");
  const answer = page.waitForResponse((response) => response.url().includes("/admin/erasures"));
  await page.getByRole("button", { name: "Refresh" }).dispatchEvent("click");
  await (await answer).finished();
  // The page draws the answer before it draws the next second's ages.
  await page.waitForTimeout(1500);
  assert.equal(await box.inputValue(), "a scr");
  await box.pressSequentially("ipt");
  const before = await page.evaluate(() => history.length);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await until("the erasure of the script", async () => (await users(page)).join() === "user_never_seen");
  assert.equal(await page.evaluate(() => history.length), before + 1, "one step back leads to the list before");
  await page.getByRole("button", { name: "Clear filters" }).click();
  assert.equal(await box.inputValue(), "");
}));

test("a time is typed key by key", needs("listErasures"), panel("erasures", {}, async (page) => {
  const field = page.getByLabel("Requested before");
  await field.focus();
  // The second of February, whether the browser asks first for the day or for the month; some ask for the half of the day.
  await page.keyboard.type("02022001");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.type("0304a");
  await page.keyboard.press("Enter");
  await page.getByText("No erasure matches these filters.").waitFor();
  assert.equal(new URL(page.url()).searchParams.get("requestedBefore"), "2001-02-02T03:04:00.000Z");
}));

test("the overview shows first what a person must look at", needs("listErasures"), panel("", {}, async (page) => {
  await page.locator(".sentence.alarm").getByText("1 task waits for a person.").waitFor();
  const table = page.getByRole("region", { name: "Erasures that are not complete" });
  assert.match(await table.locator("[data-row]").first().textContent(), /user_seed_2.*incomplete.*6 of 7 objects/s);
  await table.getByRole("link", { name: "user_seed_2" }).click();
  await settled(page);
  await page.getByText("Parked: a person must look").waitFor();
  await page.getByText("KeyTooLongError").first().waitFor();
}));

test("the list of erasures begins with those that a person must look at", panel("erasures", {}, async (page) => {
  const first = page.getByRole("region", { name: "Erasures that are not complete" });
  assert.match(await first.locator("[data-row]").first().textContent(), /user_seed_2.*incomplete.*6 of 7 objects/s);
  assert.equal(await first.locator("[data-row]").count(), 1);
  assert.deepEqual((await users(page)).sort(), ["user_never_seen", "user_seed_1", "user_seed_2"]);
  await page.getByLabel("Status").selectOption("complete");
  await until("the complete erasures", async () => (await rows(page).count()) === 2);
  assert.equal(await first.count(), 0);
}));

test("the overview counts tasks by state and says what is due", panel("", {}, async (page) => {
  const { tasks } = (await lethe.call("GET", "/admin/stats")).body;
  const counts = await page.locator(".counts li").allTextContents();
  const seen = Object.fromEntries(counts.map((text) => text.trim().split(/\s+/).reverse()));
  assert.deepEqual(seen, Object.fromEntries(Object.entries(tasks).map(([state, amount]) => [state, String(amount)])));
  await page.getByText("nothing is due").waitFor();
  await page.locator(".counts").getByRole("link", { name: /dead/ }).click();
  await settled(page);
  assert.equal(new URL(page.url()).search, "?status=dead");
}));

test("counts that the server estimates say so, and are grouped", panel("", {}, async (page) => {
  await page.route("**/admin/stats*", async (route) => {
    const response = await route.fetch();
    const stats = await response.json();
    stats.tasks = { ...stats.tasks, completed: 9_876_543, dead: 1_234 };
    await route.fulfill({ response, json: stats });
  });
  await visit(page, lethe, "");
  await page.locator(".counts").getByText("about 9,876,543").waitFor();
  await page.locator(".counts").getByText("1,234", { exact: true }).waitFor();
  await visit(page, lethe, "tasks");
  await page.getByRole("button", { name: "completed about 9,876,543" }).waitFor();
}));

test("an erasure of 21 days is marked, and is no alarm yet", panel("", {}, async (page) => {
  await lethe.sql("update lethe.cleanup_tasks set created_at = now() - interval '21 days' where user_id = 'user_seed_2' and kind = 'user-delete'");
  await lethe.sql("update lethe.user_tombstones set deleted_at = now() - interval '21 days' where user_id = 'user_seed_2'");
  await visit(page, lethe, "");
  const bar = page.getByRole("img", { name: "21 days of 30" });
  await bar.waitFor();
  assert.equal(await bar.locator("rect.warn").count(), 1);
  assert.equal(await page.getByText(/overdue/).count(), 0);
}));

test("an overdue erasure is an alarm", needs("listErasures"), panel("", {}, async (page) => {
  await lethe.sql("update lethe.cleanup_tasks set created_at = now() - interval '28 days' where user_id = 'user_seed_2' and kind = 'user-delete'");
  await lethe.sql("update lethe.user_tombstones set deleted_at = now() - interval '28 days' where user_id = 'user_seed_2'");
  await visit(page, lethe, "");
  await page.locator(".sentence.alarm").getByText(/overdue/).waitFor();
  const bar = page.getByRole("img", { name: "28 days of 30" });
  await bar.waitFor();
  assert.equal(await bar.locator("rect.alarm").count(), 1);
}));

test("the oldest erasure is shown beside many that are newer", needs("listErasures"), panel("", {}, async (page) => {
  await lethe.sql("select lethe.pause('cli:test', 'many at once')");
  await lethe.sql("insert into users (id) select 'user_many_' || n from generate_series(1, 25) n");
  await lethe.sql("select count(lethe.delete_user(id, 'cli:test')) from users where id like 'user\\_many\\_%'");
  await lethe.sql("update lethe.cleanup_tasks set created_at = now() - interval '29 days' where user_id = 'user_many_7'");
  await lethe.sql("update lethe.user_tombstones set deleted_at = now() - interval '29 days' where user_id = 'user_many_7'");
  await visit(page, lethe, "");
  const list = page.getByRole("region", { name: "Erasures that are not complete" });
  await list.getByText("user_many_7", { exact: true }).waitFor();
  await list.getByRole("img", { name: "29 days of 30" }).waitFor();
  await lethe.sql("select lethe.resume('cli:test', null, 1000)");
  await until("the end of the erasures", async () => (await lethe.sql("select count(*) from users where id like 'user\\_many\\_%'")) === "0");
}));

test("what is parked is retried from the erasure's page", panel("erasures/user_seed_2", {}, async (page) => {
  await page.getByRole("button", { name: "Retry what is parked" }).click();
  await page.getByLabel("Reason").fill("Once more.");
  await page.getByRole("dialog").getByRole("button", { name: "Retry what is parked" }).click();
  await page.getByText("1 task is tried again.").waitFor();
  assert.equal(await lethe.sql("select count(*) from lethe.cleanup_audit where detail = 'Once more.'"), "1");
}));

test("whether a user is known is said before an erasure", needs("getUser"), panel("erase?user=user_seed_3", {}, async (page) => {
  await page.getByText("live", { exact: true }).waitFor();
  await visit(page, lethe, "erase?user=user_of_nobody");
  await page.getByText(/unknown: no row has this id/).waitFor();
  await visit(page, lethe, "erase?user=user_seed_1");
  await page.getByText("erased", { exact: true }).waitFor();
}));

test("the page of an erasure names the keys that are parked, with their class and error", panel("erasures/user_seed_2", {}, async (page) => {
  const row = page.getByRole("region", { name: "Parked tasks" }).locator("[data-row]");
  assert.match(await row.textContent(), /permanent.*KeyTooLongError/s);
  await row.getByText("1 object").click();
  await row.getByText(IMPOSSIBLE_KEY, { exact: true }).waitFor();
  const events = await page.getByRole("region", { name: "Audit trail" }).locator("[data-row] td:nth-child(2)").allTextContents();
  assert.equal(events.at(-1), "user-deletion-requested");
  assert.ok(events.includes("task-dead"), events.join());
  const kinds = await page.getByRole("region", { name: "Tasks of this user" }).locator("[data-row]").allTextContents();
  assert.ok(kinds.length > 0, "no task");
}));

test("rows that an erasure kept are named with the reason, and rows that went by their type", panel("", {}, async (page) => {
  await page.route("**/admin/users/user_seed_1/erasure", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), kept: [{ type: "invoice", rows: 1_002, why: "tax law" }] } });
  });
  await visit(page, lethe, "erasures/user_seed_1");
  const { rowsDeleted } = (await lethe.call("GET", "/admin/users/user_seed_1/erasure")).body;
  await page.getByText("1,002 invoice: tax law").waitFor();
  await page.getByText(`${rowsDeleted.sampleImages} sample images`).waitFor();
}));

test("a receipt is printed without what is for the screen only", panel("erasures/user_seed_1", {}, async (page) => {
  await page.evaluate(() => (globalThis.print = () => (document.title = "printed")));
  await page.getByRole("button", { name: "Print" }).click();
  assert.equal(await page.title(), "printed");
  await page.emulateMedia({ media: "print" });
  for (const hidden of [".top", "main .actions"]) assert.ok(await page.locator(hidden).isHidden(), hidden);
  await page.locator(".receipt").getByText("complete", { exact: true }).waitFor();
  await page.locator(".verdict").getByText("valid", { exact: true }).waitFor();
}));
