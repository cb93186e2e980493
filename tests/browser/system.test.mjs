import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startLethe, until } from "./support/lethe.mjs";
import { startBrowser, stopBrowser, visit, withPanel } from "./support/panel.mjs";

let lethe;
before(async () => {
  await startBrowser();
  lethe = await startLethe(["--workers", "3"]);
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});
const panel = (path, options, body) => withPanel(() => lethe, path, options, body);

test("the system page shows the version, the state and each worker", panel("system", {}, async (page) => {
  const { body } = await lethe.call("GET", "/openapi.json");
  await page.getByText(body.info.version, { exact: true }).first().waitFor();
  assert.equal(await page.locator("main .status.alive").count(), 3);
  assert.equal(await page.locator("main .status.ready").count(), 1);
}));

test("the system page shows the database, the map and what its gate finds", panel("system", {}, async (page) => {
  const map = page.locator("section", { has: page.getByRole("heading", { name: "Database and erasure map" }) });
  const version = await lethe.sql("show server_version");
  await map.getByText(`PostgreSQL ${version}`).waitFor();
  await map.getByText(/^4 of 4 are mapped: public.users \(user\)/).waitFor();
  await map.getByText("main: S3_BUCKET of the workers").waitFor();
  await map.locator(".status.complete").waitFor();
  const { digest } = (await lethe.call("GET", "/admin/map")).body;
  await map.getByRole("button", { name: `Copy the digest of the map ${digest}` }).waitFor();
  await lethe.sql("create table public.comments (id int primary key, author_id text references public.users)");
  await visit(page, lethe, "system");
  await map.locator(".status.incomplete").waitFor();
  await map.getByText("An erasure would leave something, or would be dangerous.").waitFor();
  const found = page.getByRole("region", { name: "What the gate found" }).locator("[data-row]").first();
  assert.match(await found.textContent(), /incomplete.*no-rule.*comments\.author_id/s);
  await lethe.sql("drop table public.comments");
}));

test("the system page shows each setting", panel("system", {}, async (page) => {
  const settings = page.locator("section", { has: page.getByRole("heading", { name: "Settings" }) });
  const { body } = await lethe.call("GET", "/admin/settings");
  const shown = (await settings.textContent()).toLowerCase();
  for (const name of Object.keys(body)) {
    const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    assert.ok(shown.includes(words), `${words} is not in ${shown}`);
  }
  await settings.getByText(body.erasureLimitPerHour.toLocaleString("en-GB"), { exact: true }).first().waitFor();
}));

test("a diagnosis is copied without secrets", panel("system", {}, async (page) => {
  await page.getByRole("button", { name: "Copy a diagnosis" }).click();
  await page.getByText("The diagnosis is copied.").waitFor();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  const diagnosis = JSON.parse(text);
  assert.equal(diagnosis.workers.length, 3);
  assert.equal(diagnosis.map.result, "complete");
  assert.ok(!text.includes(lethe.token), text);
}));

test("the overview names what the workers do, and changes its charts by their time", panel("", {}, async (page) => {
  await page.getByText("Everything is erased.").waitFor();
  await page.getByText("nothing, it waits for work").first().waitFor();
  for (const [name, buckets] of [["24 hours", 96], ["7 days", 84], ["1 hour", 60]]) {
    await page.getByRole("button", { name }).click();
    const bars = page.locator(".chart").first().locator("svg > g");
    await until(`the chart of ${name}`, async () => (await bars.count()) === buckets);
    assert.equal(await page.getByRole("button", { name }).getAttribute("aria-pressed"), "true");
  }
}));
