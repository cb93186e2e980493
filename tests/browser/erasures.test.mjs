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
const rows = (page) => page.locator("main [data-row]");
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

test("an overdue erasure is an alarm", needs("listErasures"), panel("", {}, async (page) => {
  await lethe.sql("update lethe.cleanup_tasks set created_at = now() - interval '28 days' where user_id = 'user_seed_2' and kind = 'user-delete'");
  await lethe.sql("update lethe.user_tombstones set deleted_at = now() - interval '28 days' where user_id = 'user_seed_2'");
  await visit(page, lethe, "");
  await page.locator(".sentence.alarm").getByText(/overdue/).waitFor();
  await page.getByRole("img", { name: "28 days of 30" }).waitFor();
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
