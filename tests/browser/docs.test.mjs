import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startLethe } from "./support/lethe.mjs";
import { PHONE, WIDE, assertFits, openPage, startBrowser, stopBrowser } from "./support/panel.mjs";

let lethe;
before(async () => {
  await startBrowser();
  lethe = await startLethe([]);
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});

/** Opens Swagger UI, and closes it without a fault in its console or against its policy. */
async function withDocs(options, body) {
  const opened = await openPage(lethe, "/docs", options);
  try {
    await opened.page.locator(".opblock-summary").first().waitFor();
    await body(opened.page);
  } catch (error) {
    await opened.page.context().close();
    throw error;
  }
  await opened.close();
}

for (const [name, width] of [["wide", WIDE], ["a phone", PHONE]]) {
  for (const scheme of ["light", "dark"]) {
    test(`Swagger UI shows every operation, ${scheme}, ${name}`, () =>
      withDocs({ width, scheme }, async (page) => {
        const { body } = await lethe.call("GET", "/openapi.json");
        const operations = Object.values(body.paths).flatMap((methods) => Object.keys(methods));
        assert.equal(await page.locator(".opblock-summary").count(), operations.length);
        // Swagger UI has light colours only, so dark ones are these, inverted.
        const filter = await page.evaluate(() => getComputedStyle(document.documentElement).filter);
        assert.match(filter, scheme === "dark" ? /invert/ : /^none$/);
        await assertFits(page, `/docs, ${name}`);
      }));
  }
}

test("a call with the admin token is made from Swagger UI", () =>
  withDocs({}, async (page) => {
    await page.getByRole("button", { name: "Authorize" }).first().click();
    const boxes = page.locator(".auth-container");
    assert.match(await boxes.first().textContent(), /admin/i, "the admin token's box comes first");
    await boxes.first().locator("input").first().fill(lethe.token);
    await boxes.first().getByRole("button", { name: "Apply credentials" }).click();
    await page.getByRole("button", { name: "Close" }).first().click();
    const operation = page.locator(".opblock", { has: page.locator("[data-path='/admin/stats']") });
    await operation.locator(".opblock-summary-control").click();
    await operation.getByRole("button", { name: "Try it out" }).click();
    await operation.getByRole("button", { name: "Execute" }).click();
    await operation.locator(".live-responses-table .response-col_status", { hasText: "200" }).waitFor();
    assert.match(await operation.locator(".live-responses-table").textContent(), /"tasks"/);
  }));
