// Pause, the limit of erasures in an hour, the delay before an erasure, and its cancellation.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { needs, startLethe, until } from "./support/lethe.mjs";
import { assertAccessible, settled, startBrowser, stopBrowser, visit, withPanel } from "./support/panel.mjs";

let lethe;
before(async () => {
  if (needs("getSettings").skip) return;
  await startBrowser();
  lethe = await startLethe(["--seed", "6"], { ERASURE_LIMIT_PER_HOUR: "2", USER_ERASURE_DELAY_MS: "3600000" });
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});
const panel = (path, options, body) => withPanel(() => lethe, path, options, body);

async function answer(page, button, reason, typed) {
  await page.getByRole("button", { name: button }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill(reason);
  if (typed) {
    assert.ok(await dialog.getByRole("button", { name: button }).isDisabled(), "nothing was typed");
    await dialog.getByLabel(/to confirm/).fill(typed);
  }
  await dialog.getByRole("button", { name: button }).click();
  await dialog.waitFor({ state: "detached" });
}

test("a pause is seen on every page, with who and why, until somebody resumes", needs("getSettings"), panel("", {}, async (page) => {
  await answer(page, "Pause cleanup", "The signing secret leaked.");
  await page.locator(".sentence").getByText("Cleanup is paused by admin:dev: The signing secret leaked.").waitFor();
  assert.equal((await lethe.call("GET", "/admin/settings")).body.paused, true);
  for (const path of ["", "tasks", "erasures", "deleted", "audit", "system"]) {
    await visit(page, lethe, path);
    await page.locator(".paused").getByText("The signing secret leaked.").waitFor();
  }
  await assertAccessible(page, "while paused");
  await visit(page, lethe, "");
  await answer(page, "Resume", "The secret is rotated.");
  await page.locator(".paused").waitFor({ state: "detached" });
  await page.getByText("Everything is erased.").waitFor();
  assert.equal(await lethe.sql("select count(*) from lethe.cleanup_audit where detail = 'The secret is rotated.'"), "1");
}));

test("an erasure that has not begun is cancelled, and the user is as before", needs("cancelErasure"), panel("", {}, async (page) => {
  assert.equal((await lethe.call("DELETE", "/admin/users/user_seed_1")).status, 202);
  await visit(page, lethe, "erasures/user_seed_1");
  await answer(page, "Cancel the erasure", "A mistake.");
  await page.getByText("The erasure is cancelled.").waitFor();
  assert.equal(await lethe.sql("select count(*) from public.users where id = 'user_seed_1' and deleted_at is null"), "1");
  assert.equal(await lethe.sql("select count(*) from lethe.user_tombstones where user_id = 'user_seed_1'"), "0");
  await settled(page);
  assert.equal(await page.getByRole("button", { name: "Cancel the erasure" }).count(), 0);
}));

test("erasures above the limit are held, seen first, and released", needs("getSettings"), panel("", {}, async (page) => {
  for (const user of ["user_seed_2", "user_seed_3", "user_seed_4"]) {
    assert.equal((await lethe.call("DELETE", `/admin/users/${user}`)).status, 202);
  }
  await visit(page, lethe, "");
  const held = (await lethe.call("GET", "/admin/settings")).body.erasuresHeld;
  assert.ok(held > 0, "none is held");
  await page.locator(".sentence").getByText(/held/).waitFor();
  if (!needs("listErasures").skip) {
    assert.equal(await page.locator("main .status.held").count(), held);
    await visit(page, lethe, "erasures?status=held");
    assert.equal(await page.locator("main [data-row]").count(), held);
  }
  await visit(page, lethe, "");
  await answer(page, "Release what is held", "They are real.", `release ${held}`);
  await page.getByText(/held erasures? released/).waitFor();
  await until("nothing to be held", async () => (await lethe.call("GET", "/admin/settings")).body.erasuresHeld === 0);
}));
