// What an admin sees before an erasure.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startLethe, until } from "./support/lethe.mjs";
import { assertAccessible, assertFits, PHONE, settled, startBrowser, stopBrowser, visit, withPanel } from "./support/panel.mjs";

let lethe;
before(async () => {
  await startBrowser();
  lethe = await startLethe(["--seed", "4", "--samples-per-user", "5", "--images-per-sample", "2"]);
  // user_seed_1 names an object that user_seed_2 needs too, and a URL of somewhere else.
  await lethe.sql(`insert into public.sample_images (sample_id, object_key)
    select s.id, k.key from (select id from public.samples where user_id = 'user_seed_1' order by id limit 1) s,
      (select 'https://elsewhere.example/logo.png' as key union all
       (select i.object_key from public.sample_images i join public.samples o on o.id = i.sample_id
        where o.user_id = 'user_seed_2' order by i.id limit 1)) k`);
  // A sample of user_seed_2 stands in a collection of user_seed_1.
  await lethe.sql(`update public.samples set collection_id = (select id from public.collections where user_id = 'user_seed_1' limit 1)
    where id = (select id from public.samples where user_id = 'user_seed_2' order by id limit 1)`);
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});
const panel = (path, options, body) => withPanel(() => lethe, path, options, body);
const eraseButton = (page) => page.getByRole("main").getByRole("button", { name: "Erase this user" });
const cells = (row) => row.locator("td").allTextContents();
const fact = (page, name) => page.locator(".facts > div", { has: page.locator("dt", { hasText: name }) }).locator("dd").textContent();

test("the plan shows what goes, what stays and what the objects are", panel("erase?user=user_seed_1", {}, async (page) => {
  const rows = page.getByRole("region", { name: "Rows of this user" }).locator("[data-row]");
  const { body: plan } = await lethe.call("GET", "/admin/users/user_seed_1/plan");
  const seen = await Promise.all((await rows.all()).map(cells));
  assert.deepEqual(
    seen.map(([type, what, number, keys]) => [type, what.split(";")[0], number, keys]),
    plan.rows.map((row) => [row.type, row.action === "delete" ? "deleted" : "stays", String(row.rows), String(row.keys)]),
  );
  assert.deepEqual(seen.find(([type, what]) => type === "sample" && what.startsWith("stays")), ["sample", "stays; its reference is cleared", "1", "0"]);
  assert.match(await fact(page, "Objects deleted"), /^10$/);
  assert.match(await fact(page, "Objects shared"), /^1: they stay/);
  assert.match(await fact(page, "Foreign URLs"), /^1: /);
  assert.match(await fact(page, "Keys outside"), /^none$/);
  await page.getByText("No row is kept.").waitFor();
  await eraseButton(page).click();
  const question = page.getByRole("dialog");
  const { rows: planned } = plan;
  const deleted = planned.filter(({ action }) => action === "delete").reduce((sum, { rows }) => sum + rows, 0);
  await question.getByText(`${deleted} rows and 10 objects will be deleted.`).waitFor();
  await question.getByText("1 object will stay, because rows that stay name them too.").waitFor();
  await question.getByText("1 row of others will lose a reference.").waitFor();
}));

for (const width of [1280, PHONE]) {
  test(`rows that are kept and keys outside of the map's prefixes are named, ${width} wide`, panel("", { width }, async (page) => {
    const outside = [`static/${"very-".repeat(60)}long.png`, "static/logo.png"];
    await page.route("**/admin/users/user_seed_2/plan", (route) =>
      route.fulfill({
        json: {
          rows: [
            { type: "asset", action: "delete", rows: 12, keys: 30 },
            { type: "invoice", action: "keep", rows: 2345, keys: 0 },
          ],
          kept: [
            { type: "invoice", rows: 2340, why: "tax law" },
            { type: "invoice", rows: 5, why: "a dispute" },
          ],
          objects: { delete: 28, shared: 0, foreign: 0, outside },
        },
      }),
    );
    await visit(page, lethe, "erase?user=user_seed_2");
    const kept = page.getByRole("region", { name: "Kept rows" }).locator("[data-row]");
    assert.deepEqual(await Promise.all((await kept.all()).map(cells)), [
      ["invoice", "2,340", "tax law"],
      ["invoice", "5", "a dispute"],
    ]);
    assert.match(await fact(page, "Keys outside"), /^\s*2: the erasure map does not let them be deleted/);
    await page.getByText("The keys", { exact: true }).click();
    for (const key of outside) await page.getByText(key, { exact: true }).waitFor();
    await assertFits(page, "a plan with keys outside");
    await assertAccessible(page, "a plan with keys outside");
    await eraseButton(page).click();
    const question = page.getByRole("dialog");
    await question.getByText("2,345 rows will be kept without what names the person.").waitFor();
    await question.getByText(/the erasure will not end by itself/).waitFor();
    await assertAccessible(page, "the question with keys outside");
  }));
}

test("nobody is erased before the plan is there", panel("", {}, async (page) => {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route("**/admin/users/user_seed_3/plan", async (route) => {
    await held;
    await route.continue();
  });
  await page.goto(`${lethe.url}/panel/erase?user=user_seed_3`);
  await page.getByText("live", { exact: true }).waitFor();
  assert.ok(await eraseButton(page).isDisabled(), "the plan is not there yet");
  assert.equal(await page.getByRole("checkbox").count(), 0);
  release();
  await settled(page);
  assert.ok(await eraseButton(page).isEnabled());
}));

test("without a plan a second tick is needed, and the reason is said", panel("", { refusals: [503] }, async (page) => {
  let refused = true;
  await page.route("**/admin/users/user_seed_4/plan", (route) =>
    refused
      ? route.fulfill({
          status: 503,
          contentType: "application/problem+json",
          json: { type: "about:blank", title: "Service Unavailable", status: 503, code: "unavailable", detail: "The erasure map names what is not in the database: run `lethe map check`.", requestId: "request-1" },
        })
      : route.continue(),
  );
  await visit(page, lethe, "erase?user=user_seed_4");
  const alert = page.getByRole("alert");
  await alert.getByText("The erasure map names what is not in the database").waitFor();
  await alert.getByText("request-1").first().waitFor();
  assert.ok(await eraseButton(page).isDisabled(), "nothing was ticked");
  const tick = page.getByLabel(/I have not seen what would be erased/);
  await tick.check();
  assert.ok(await eraseButton(page).isEnabled());
  await tick.uncheck();
  assert.ok(await eraseButton(page).isDisabled(), "the tick was taken back");
  await tick.check();
  await eraseButton(page).click();
  await page.getByRole("dialog").getByText("You have not seen what will be deleted.").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await assertAccessible(page, "without a plan");
  // With a plan the tick is gone.
  refused = false;
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("region", { name: "Rows of this user" }).waitFor();
  assert.equal(await tick.count(), 0);
  assert.ok(await eraseButton(page).isEnabled());
}));

test("a plan is counted again when a person asks for it, and not by the clock", panel("", {}, async (page) => {
  const asked = { plan: 0, user: 0 };
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (pathname === "/admin/users/user_seed_3/plan") asked.plan += 1;
    if (pathname === "/admin/users/user_seed_3") asked.user += 1;
  });
  await visit(page, lethe, "erase?user=user_seed_3");
  await page.getByLabel("Refresh every").selectOption("2");
  await until("the user to be read again", () => asked.user >= 3);
  assert.equal(asked.plan, 1);
  await lethe.sql("insert into public.collections (user_id, name) values ('user_seed_3', 'new')");
  const before = Number((await cells(page.locator("[data-row]", { hasText: "collection" }))).at(2));
  await page.getByRole("button", { name: "Count again" }).click();
  await until("the new row", async () => Number((await cells(page.locator("[data-row]", { hasText: "collection" }))).at(2)) === before + 1);
}));

test("an id that nobody knows has an empty plan, and can be erased with open eyes", panel("erase?user=user_of_nobody", {}, async (page) => {
  await page.getByText("Nothing in the database belongs to this id.").waitFor();
  await eraseButton(page).click();
  await page.getByRole("dialog").getByText("No row has this id. A tombstone will keep such a user from coming back.").waitFor();
}));

test("an erasure does what its plan said", panel("erase?user=user_seed_1", {}, async (page) => {
  const { body: plan } = await lethe.call("GET", "/admin/users/user_seed_1/plan");
  const planned = Object.fromEntries(plan.rows.filter(({ action }) => action === "delete").map(({ type, rows }) => [type, rows]));
  await eraseButton(page).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("They asked for it.");
  await dialog.getByLabel(/to confirm/).fill("user_seed_1");
  await dialog.getByRole("button", { name: "Erase this user" }).click();
  const receipt = async () => (await lethe.call("GET", "/admin/users/user_seed_1/erasure")).body;
  await until("the end of the erasure", async () => (await receipt()).status === "complete");
  const { rowsDeleted, objectsKept } = await receipt();
  assert.deepEqual(
    { user: rowsDeleted.users, collection: rowsDeleted.collections, sample: rowsDeleted.samples, "sample-image": rowsDeleted.sampleImages },
    planned,
  );
  assert.equal(objectsKept, plan.objects.shared);
  await visit(page, lethe, "erase?user=user_seed_1");
  await page.getByText("Nothing in the database belongs to this id.").waitFor();
}));
