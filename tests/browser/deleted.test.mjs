import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startLethe, until } from "./support/lethe.mjs";
import { settled, startBrowser, stopBrowser, withPanel } from "./support/panel.mjs";

let lethe;
before(async () => {
  await startBrowser();
  lethe = await startLethe(["--seed", "4", "--cleanup-grace-period-ms", "3600000"]);
  for (const user of ["user_seed_1", "user_seed_2"]) {
    const sample = await lethe.sql(`select id from public.samples where user_id = '${user}' order by id limit 1`);
    assert.equal((await lethe.call("DELETE", `/samples/${sample}`)).status, 202);
  }
  await lethe.sql(`select lethe.delete_sample((select id from public.samples where user_id = 'user_seed_3' order by id limit 1),
    'a script', '1 hour')`);
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});
const panel = (path, options, body) => withPanel(() => lethe, path, options, body);
const rows = (page) => page.locator("main [data-row]");

test("what is deleted and waits is filtered by type, by who deleted it, by user and by time", panel("deleted", {}, async (page) => {
  assert.equal(await rows(page).count(), 9);
  await page.getByRole("searchbox", { name: "Type" }).fill("sample");
  await page.keyboard.press("Enter");
  await settled(page);
  await until("the samples", async () => (await rows(page).count()) === 3);
  await page.getByRole("searchbox", { name: "Deleted by" }).fill("a script");
  await page.keyboard.press("Enter");
  await until("the sample of the script", async () => (await rows(page).count()) === 1);
  await page.reload();
  await settled(page);
  assert.equal(await rows(page).count(), 1);
  assert.equal(new URL(page.url()).search, "?entityType=sample&deletedBy=a+script");
  await page.getByRole("button", { name: "Clear filters" }).click();
  await page.getByRole("searchbox", { name: "User", exact: true }).fill("user_seed_2");
  await page.keyboard.press("Enter");
  await until("the rows of the user", async () => (await rows(page).count()) === 3);
  await page.getByLabel("Deleted after").fill("2099-01-01T00:00");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing that is deleted and waits matches these filters.").waitFor();
  await page.getByRole("button", { name: "Clear filters" }).click();
  await page.getByLabel("Deleted before").fill("2001-01-01T00:00");
  await page.keyboard.press("Enter");
  await page.getByText("Nothing that is deleted and waits matches these filters.").waitFor();
  await page.getByRole("button", { name: "Clear filters" }).click();
  const id = await lethe.sql("select id from public.samples where user_id = 'user_seed_3' and is_deleted");
  await page.getByRole("searchbox", { name: "Id", exact: true }).fill(id);
  await page.keyboard.press("Enter");
  await until("the row of this id", async () => (await rows(page).count()) === 1);
  await page.getByRole("button", { name: "Clear filters" }).click();
  await page.getByRole("combobox", { name: "Task" }).selectOption("dead");
  await page.getByText("Nothing that is deleted and waits matches these filters.").waitFor();
  assert.equal(new URL(page.url()).search, "?taskStatus=dead");
  await page.getByRole("combobox", { name: "Task" }).selectOption("pending");
  const pending = (await lethe.call("GET", "/admin/deleted?taskStatus=pending")).body.items.length;
  assert.ok(pending > 0);
  await until("the rows whose task waits", async () => (await rows(page).count()) === pending);
}));

test("a sample is restored while that is possible", panel("deleted?entityType=sample&userId=user_seed_1", {}, async (page) => {
  await page.getByRole("button", { name: "Restore" }).click();
  await page.getByRole("dialog").getByText("will be live again").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
  await page.getByText("The sample is live again.").waitFor();
  await page.getByText("Nothing that is deleted and waits matches these filters.").waitFor();
  assert.equal(await lethe.sql("select count(*) from public.samples where user_id = 'user_seed_1' and is_deleted"), "0");
}));

test("a restore that is refused shows the problem and its request id", panel("deleted?entityType=sample&userId=user_seed_2", { refusals: [404, 409] }, async (page) => {
  await page.getByLabel("Refresh every").selectOption({ label: "off" });
  await page.getByRole("button", { name: "Restore" }).click();
  await lethe.call("DELETE", "/admin/users/user_seed_2");
  await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
  const alert = page.getByRole("dialog").getByRole("alert");
  await alert.waitFor();
  assert.match(await alert.textContent(), /\((404|409)\).*Request [0-9a-f-]{36}/s);
}));

test("times are local, with UTC on hover", panel("deleted", { timezoneId: "Pacific/Auckland" }, async (page) => {
  const time = rows(page).first().locator("time").first();
  const at = await time.getAttribute("datetime");
  const title = await time.getAttribute("title");
  assert.ok(title.includes(`${at.slice(0, 19).replace("T", " ")} UTC`), `${at}: ${title}`);
  const hour = new Date(at).toLocaleTimeString("en-GB", { timeZone: "Pacific/Auckland" });
  assert.ok((await time.textContent()).includes(hour), `${await time.textContent()} is not ${hour}`);
}));

test("the list refreshes itself, and off means off", panel("deleted?userId=user_seed_4", {}, async (page) => {
  await page.getByLabel("Refresh every").selectOption("2");
  await page.getByText("Nothing that is deleted and waits").waitFor();
  await lethe.sql(`select lethe.delete_sample(id, 'a script', '1 hour') from public.samples where user_id = 'user_seed_4' limit 1`);
  await until("the row to appear by itself", async () => (await rows(page).count()) > 0);
  await page.getByLabel("Refresh every").selectOption({ label: "off" });
  await settled(page);
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.evaluate(() => {
    document.dispatchEvent(new Event("visibilitychange"));
    window.dispatchEvent(new Event("focus"));
    window.dispatchEvent(new Event("online"));
  });
  // Longer than the shortest interval: only time can show that nothing is asked.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assert.deepEqual(asked, []);
  await page.reload();
  await settled(page);
  assert.equal(await page.getByLabel("Refresh every").inputValue(), "0");
  const pulled = page.waitForRequest(/admin\/deleted/);
  await page.keyboard.press("r");
  await pulled;
}));

test("a page in the background does not ask", panel("deleted", {}, async (page) => {
  await page.getByLabel("Refresh every").selectOption("2");
  await settled(page);
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assert.deepEqual(asked, []);
  const resumed = page.waitForRequest(/admin\/deleted/);
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { value: false, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await resumed;
}));
