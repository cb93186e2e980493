// A page in a real browser. Whatever a test does, it fails on an error in the console, on a violation of
// the content security policy and on a request to another address.
import assert from "node:assert/strict";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

export const WIDE = 1280;
export const PHONE = 390;

let browser;

export async function startBrowser() {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
  });
}

export async function stopBrowser() {
  await browser?.close();
}

/** Opens a page of the panel, signed in unless `token` is null. Options are those of `openPage`. */
export async function openPanel(lethe, path = "", options = {}) {
  const { token = lethe.token } = options;
  const fragment = token ? `#token=${token}` : "";
  const opened = await openPage(lethe, `/panel/${path}${fragment}`, options);
  if (token) await settled(opened.page);
  return opened;
}

/**
 * Opens a page. `refusals` are the statuses that the test provokes, such as 404; the browser writes a line to the
 * console for each.
 */
export async function openPage(lethe, path, options = {}) {
  const { width = WIDE, scheme = "light", refusals = [], timezoneId = "UTC" } = options;
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
    reducedMotion: "reduce",
    locale: "en-GB",
    timezoneId,
    acceptDownloads: true,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => {
    const expected = refusals.some((status) => message.text().includes(`status of ${status}`));
    if (["error", "warning"].includes(message.type()) && !expected) faults.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`exception: ${error.stack}`));
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "blob:" && origin !== lethe.url) faults.push(`request to ${request.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`violation of ${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  await page.goto(lethe.url + path);
  return {
    page,
    /** Ends the page, and fails if anything was wrong with it. */
    async close() {
      await context.close();
      assert.deepEqual(faults, []);
    },
    faults,
  };
}

/** Waits until the page shows its data. */
export async function settled(page) {
  await page.locator("main h1").waitFor();
  await page.waitForFunction(() => !document.querySelector(".loading, [aria-busy=true]"));
}

export async function visit(page, lethe, path) {
  await page.goto(`${lethe.url}/panel/${path}`);
  await settled(page);
}

/** Fails if axe finds anything serious or critical (WCAG 2.2 A and AA, and its own best practices). */
export async function assertAccessible(page, what) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`).join("\n")}`);
  assert.deepEqual(told, [], what);
}

/** Fails if the page is wider than the window. */
export async function assertFits(page, what) {
  const { page: wide, window } = await page.evaluate(() => ({
    page: document.documentElement.scrollWidth,
    window: document.documentElement.clientWidth,
  }));
  assert.ok(wide <= window, `${what}: the page is ${wide} wide in a window of ${window}`);
}

/** Runs a test with a page, which is closed and checked at its end. */
export function withPanel(lethe, path, options, body) {
  return async () => {
    const panel = await openPanel(lethe(), path, options);
    try {
      await body(panel.page, panel);
    } catch (error) {
      if (panel.faults.length > 0) error.message += `\n${panel.faults.join("\n")}`;
      await panel.page.screenshot({ path: process.env.FAILURE_PICTURE ?? "/tmp/lethe-browser-failure.png" }).catch(() => {});
      await panel.page.context().close();
      throw error;
    }
    await panel.close();
  };
}
