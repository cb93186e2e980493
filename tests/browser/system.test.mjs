import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startLethe, until } from "./support/lethe.mjs";
import { startBrowser, stopBrowser, withPanel } from "./support/panel.mjs";

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

test("a diagnosis is copied without secrets", panel("system", {}, async (page) => {
  await page.getByRole("button", { name: "Copy a diagnosis" }).click();
  await page.getByText("The diagnosis is copied.").waitFor();
  const text = await page.evaluate(() => navigator.clipboard.readText());
  const diagnosis = JSON.parse(text);
  assert.equal(diagnosis.workers.length, 3);
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
