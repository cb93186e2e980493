import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { needs, startLethe, until } from "./support/lethe.mjs";
import { settled, startBrowser, stopBrowser, visit, withPanel } from "./support/panel.mjs";

let lethe;
before(async () => {
  await startBrowser();
  // Slow enough to see an erasure of 10,000 objects move.
  lethe = await startLethe(["--seed", "2", "--samples-per-user", "100", "--images-per-sample", "100", "--s3-delete-rate", "1000"]);
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});
const panel = (path, options, body) => withPanel(() => lethe, path, options, body);

test("an erasure needs the id to be typed again, and a cancelled question erases nobody", panel("erase", {}, async (page) => {
  await page.getByLabel("Id of the user").fill("user_seed_2");
  await page.keyboard.press("Enter");
  await settled(page);
  assert.equal(new URL(page.url()).search, "?user=user_seed_2");
  await page.getByRole("button", { name: "Erase this user" }).click();
  const dialog = page.getByRole("dialog");
  const confirm = dialog.getByRole("button", { name: "Erase this user" });
  assert.ok(await confirm.isDisabled(), "nothing is typed yet");
  await dialog.getByLabel("Reason").fill("They asked for it.");
  for (const wrong of ["user_seed", "user_seed_2 ", "USER_SEED_2"]) {
    await dialog.getByLabel(/to confirm/).fill(wrong);
    assert.ok(await confirm.isDisabled(), `"${wrong}" is not the id`);
    await page.keyboard.press("Enter");
  }
  await dialog.getByLabel(/to confirm/).fill("user_seed_2");
  assert.ok(await confirm.isEnabled());
  await dialog.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await lethe.sql("select count(*) from lethe.user_tombstones"), "0");
}));

test("an erasure of 10,000 objects moves and ends as complete", panel("erase?user=user_seed_1", {}, async (page) => {
  await page.getByLabel("Refresh every").selectOption("2");
  await page.getByRole("button", { name: "Erase this user" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("They asked for it.");
  await dialog.getByLabel(/to confirm/).fill("user_seed_1");
  await dialog.getByRole("button", { name: "Erase this user" }).click();
  await until("the page of the erasure", () => page.url() === `${lethe.url}/panel/erasures/user_seed_1`);
  // Seen on the overview, or on the erasure's own page where the overview has no list.
  if (!needs("listErasures").skip) await visit(page, lethe, "");
  const bar = page.getByRole("progressbar");
  const seen = new Set();
  const held = page.getByRole("region", { name: "Workers" }).getByRole("link");
  let wasHeld = false;
  await until(
    "the erasure to be complete",
    async () => {
      if (await bar.count()) seen.add(Number(await bar.getAttribute("value", { timeout: 1000 }).catch(() => 0)));
      wasHeld ||= (await held.count()) > 0;
      const receipt = (await lethe.call("GET", "/admin/users/user_seed_1/erasure")).body;
      // The signature follows the end within moments.
      return receipt.status === "complete" && receipt.signature !== undefined;
    },
    90_000,
  );
  const between = [...seen].filter((value) => value > 0 && value < 10_000);
  assert.ok(between.length > 0, `the bar was seen at ${[...seen]}`);
  assert.ok(wasHeld, "no worker was seen to hold a task");
  await visit(page, lethe, "erasures/user_seed_1");
  await page.locator(".receipt .status.complete").waitFor();
  assert.match(await page.locator(".receipt").textContent(), /10,000 deleted/);
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Receipt as JSON" }).click();
  const receipt = JSON.parse(await readFile(await (await download).path(), "utf8"));
  assert.deepEqual(receipt, (await lethe.call("GET", "/admin/users/user_seed_1/erasure")).body);
  await visit(page, lethe, "");
  await page.getByText("Everything is erased.").waitFor();
  await page.getByRole("img", { name: /Deleted objects: (about )?10,000 deleted/ }).waitFor();
}));

test("the page of somebody whose erasure was never asked for leads to it", panel("erasures/user_seed_2", { refusals: [404] }, async (page) => {
  await page.getByText("The erasure of this user was never asked for.").waitFor();
  await page.getByRole("link", { name: "Erase this user" }).click();
  await settled(page);
  assert.equal(page.url(), `${lethe.url}/panel/erase?user=user_seed_2`);
}));

test("an id that the server refuses is a problem with its request id", panel(`erase?user=${"x".repeat(600)}`, { refusals: [400] }, async (page) => {
  const alert = page.getByRole("alert");
  await alert.first().waitFor();
  assert.match(await alert.first().textContent(), /\(400\).*Request/s);
}));
