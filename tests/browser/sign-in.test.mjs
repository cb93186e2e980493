import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startLethe } from "./support/lethe.mjs";
import { assertAccessible, settled, startBrowser, stopBrowser, withPanel } from "./support/panel.mjs";

let lethe;
before(async () => {
  await startBrowser();
  lethe = await startLethe();
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});
const panel = (path, options, body) => withPanel(() => lethe, path, options, body);

test("the link that lethe dev prints signs in, and leaves no token in the address", async () => {
  const link = /panel +(\S+)/.exec(lethe.banner())[1];
  assert.equal(link, `${lethe.url}/panel/#token=${lethe.token}`);
  await panel("", {}, async (page) => {
    assert.equal(page.url(), `${lethe.url}/panel/`);
    assert.equal(await page.locator("h1").textContent(), "Overview");
    await page.goBack();
    assert.ok(!page.url().includes(lethe.token), page.url());
  })();
});

test("a token that is pasted signs in for this tab only, and signing out forgets it", panel("tasks?status=dead", { token: null }, async (page) => {
  await assertAccessible(page, "sign-in");
  await page.getByText("Where do I get a token?").click();
  await page.getByText("ADMIN_API_TOKENS").waitFor();
  await page.getByLabel("Admin token").fill(lethe.token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await settled(page);
  assert.equal(await page.locator("h1").textContent(), "Tasks");
  assert.equal(new URL(page.url()).search, "?status=dead");
  const kept = () => page.evaluate(() => ({ tab: { ...sessionStorage }, browser: { ...localStorage }, cookies: document.cookie }));
  assert.deepEqual(await kept(), { tab: { "lethe.token": lethe.token }, browser: {}, cookies: "" });
  await page.reload();
  await settled(page);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Admin token").waitFor();
  assert.deepEqual(await kept(), { tab: {}, browser: {}, cookies: "" });
}));

test("a wrong token is refused with the reason", panel("", { token: null, refusals: [401] }, async (page) => {
  await page.getByLabel("Admin token").fill("not-a-token-of-lethe");
  await page.getByRole("button", { name: "Sign in" }).click();
  const alert = page.getByRole("alert");
  await alert.waitFor();
  assert.match(await alert.textContent(), /token is not valid/);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
}));

test("an address outside of the pages says so", panel("nowhere/else", {}, async (page) => {
  assert.equal(await page.locator("h1").textContent(), "No such page");
}));

test("the page and its files are sent with the headers that guard them", async () => {
  const page = await fetch(`${lethe.url}/panel/`);
  const policy = page.headers.get("content-security-policy");
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]) {
    assert.ok(policy.includes(part), policy);
  }
  assert.ok(!policy.includes("unsafe"), policy);
  assert.equal(page.headers.get("x-content-type-options"), "nosniff");
  assert.equal(page.headers.get("cache-control"), "no-cache");
  const unchanged = await fetch(`${lethe.url}/panel/`, { headers: { "if-none-match": page.headers.get("etag") } });
  assert.equal(unchanged.status, 304);
  const file = /src="([^"]+main\.js)"/.exec(await page.text())[1];
  const script = await fetch(lethe.url + file);
  assert.equal(script.headers.get("cache-control"), "public, max-age=31536000, immutable");
  assert.equal(script.headers.get("content-encoding"), "gzip");
  assert.equal((await fetch(lethe.url + file.replace(/assets\/\w+/, "assets/0"))).status, 404);
  for (const path of ["/", "/admin", "/panel"]) {
    const answer = await fetch(lethe.url + path, { redirect: "manual" });
    assert.equal(answer.headers.get("location"), "/panel/", path);
  }
  const data = await fetch(`${lethe.url}/admin/stats`, { headers: { authorization: `Bearer ${lethe.token}` } });
  assert.equal(data.headers.get("cache-control"), "no-store");
});
