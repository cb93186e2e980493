// Each page in light and dark, wide and on a phone: nothing serious in axe's eyes, nothing wider than the window, and no
// error in the console. The same run makes the pictures of the documents.
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startLethe, until } from "./support/lethe.mjs";
import { PHONE, WIDE, assertAccessible, assertFits, settled, startBrowser, stopBrowser, visit, withPanel } from "./support/panel.mjs";

const IMPOSSIBLE_KEY = "photos/2026/".padEnd(1100, "x");

let lethe;
before(async () => {
  await startBrowser();
  lethe = await startLethe(["--seed", "12", "--cleanup-grace-period-ms", "3600000", "--cleanup-max-attempts", "1"]);
  // One erasure that is complete, one that a person must look at, a sample that waits.
  await lethe.sql(`insert into public.sample_images (sample_id, object_key)
    select id, '${IMPOSSIBLE_KEY}' from public.samples where user_id = 'user_seed_3' order by id limit 1`);
  for (const user of ["user_seed_1", "user_seed_2", "user_seed_3"]) {
    assert.equal((await lethe.call("DELETE", `/admin/users/${user}`)).status, 202);
  }
  const sample = await lethe.sql("select id from public.samples where user_id = 'user_seed_4' order by id limit 1");
  assert.equal((await lethe.call("DELETE", `/samples/${sample}`)).status, 202);
  const status = async (user) => (await lethe.call("GET", `/admin/users/${user}/erasure`)).body.status;
  await until("a complete erasure", async () => (await status("user_seed_2")) === "complete");
  await until("an incomplete erasure", async () => (await status("user_seed_3")) === "incomplete");
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});

/** Address and name of the picture, if one is made. */
const PAGES = [
  ["", "overview"],
  ["?window=24h"],
  ["?window=7d"],
  ["erasures", "erasures"],
  ["erasures/user_seed_2", "receipt"],
  ["erasures/user_seed_3", "incomplete"],
  ["erasures/user_never"],
  ["erase"],
  ["erase?user=user_seed_6", "erase"],
  ["erase?user=user_seed_5"],
  ["erase?user=user_never"],
  ["deleted", "deleted"],
  ["deleted?userId=user_never"],
  ["tasks", "tasks"],
  ["tasks?status=dead"],
  ["tasks?status=running"],
  ["tasks/1"],
  ["audit", "audit"],
  ["system", "system"],
  ["nowhere"],
];

/** Pictures are made of these, light and dark. */
const PICTURES = process.env.PICTURES;
const PICTURED = ["overview", "erase", "receipt", "incomplete", "tasks"];

for (const scheme of ["light", "dark"]) {
  for (const width of [WIDE, PHONE]) {
    const options = { scheme, width, refusals: [404] };
    test(`every page, ${scheme}, ${width} wide`, withPanel(() => lethe, "", options, async (page) => {
      for (const [path, picture] of PAGES) {
        await visit(page, lethe, path);
        const what = `${path || "overview"}, ${scheme}, ${width} wide`;
        await assertFits(page, what);
        await assertAccessible(page, what);
        if (PICTURES && width === WIDE && PICTURED.includes(picture)) {
          await mkdir(PICTURES, { recursive: true });
          await page.screenshot({ path: join(PICTURES, `${picture}-${scheme}.png`) });
        }
      }
    }));
    test(`the dialogs, ${scheme}, ${width} wide`, withPanel(() => lethe, "", options, async (page) => {
      await page.keyboard.press("?");
      await page.getByRole("dialog").waitFor();
      await assertAccessible(page, "the keys");
      await page.keyboard.press("Escape");
      await visit(page, lethe, "erase?user=user_seed_5");
      await page.getByRole("button", { name: "Erase this user" }).click();
      await page.getByRole("dialog").waitFor();
      await assertAccessible(page, "the question before an erasure");
      await assertFits(page, "the question before an erasure");
    }));
  }
}

test("the colours can be switched, and the choice is kept", withPanel(() => lethe, "", { scheme: "light" }, async (page) => {
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByLabel("Colours").selectOption("dark");
  const dark = await ground();
  assert.notEqual(dark, light);
  await page.reload();
  await settled(page);
  assert.equal(await ground(), dark);
  await page.getByLabel("Colours").selectOption("system");
  assert.equal(await ground(), light);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.equal(await ground(), dark);
}));

test("an id can be copied whole", withPanel(() => lethe, "erasures/user_seed_2", {}, async (page) => {
  await page.getByRole("button", { name: "Copy the user id user_seed_2" }).first().click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "user_seed_2");
}));

test("titles name the page and nobody", withPanel(() => lethe, "", { refusals: [404] }, async (page) => {
  for (const [path] of PAGES) {
    await visit(page, lethe, path);
    assert.match(await page.title(), /^[\w ,]+ – Lethe$/, path);
    assert.ok(!/user_|\d/.test(await page.title()), await page.title());
  }
}));
