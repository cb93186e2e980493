import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { needs, needsRoles, startLethe, until } from "./support/lethe.mjs";
import { settled, startBrowser, stopBrowser, visit, withPanel } from "./support/panel.mjs";

const TOKENS = {
  viewer: "token-of-the-viewer-vera",
  operator: "token-of-the-operator-olaf",
  admin: "token-of-the-admin-alice",
};
const IMPOSSIBLE_KEY = "k".repeat(1100);

let lethe;
before(async () => {
  if (needsRoles().skip) return;
  await startBrowser();
  const tokens = `vera@viewer:${TOKENS.viewer},olaf@operator:${TOKENS.operator},alice:${TOKENS.admin}`;
  lethe = await startLethe(
    ["--seed", "4", "--cleanup-grace-period-ms", "3600000", "--cleanup-max-attempts", "1"],
    { ADMIN_API_TOKENS: tokens },
  );
  lethe.token = TOKENS.admin;
  await lethe.sql(`insert into public.sample_images (sample_id, object_key)
    select id, '${IMPOSSIBLE_KEY}' from public.samples where user_id = 'user_seed_1' order by id limit 1`);
  await lethe.call("DELETE", "/admin/users/user_seed_1", { token: TOKENS.admin });
  const sample = await lethe.sql("select id from public.samples where user_id = 'user_seed_2' order by id limit 1");
  await lethe.call("DELETE", `/samples/${sample}`, { token: TOKENS.admin });
  const stats = async () => (await lethe.call("GET", "/admin/stats", { token: TOKENS.admin })).body.tasks;
  await until("the dead task", async () => (await stats()).dead === 1);
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});

/** What each role finds: the page, the name of the button or link, and the roles that see it. */
const OFFERS = [
  ...(needs("pause").skip ? [] : [["", "Pause cleanup", ["operator", "admin"]]]),
  ["", "Erase a user", ["admin"]],
  ["tasks?status=dead", "Retry all that match", ["operator", "admin"]],
  ["deleted?entityType=sample", "Restore", ["operator", "admin"]],
  ["erasures/user_seed_1", "Retry what is parked", ["operator", "admin"]],
  ["erase?user=user_seed_3", "Erase this user", ["admin"]],
  ["erasures/user_seed_1", "Receipt as JSON", ["viewer", "operator", "admin"]],
  ["audit", "Export as JSON lines", ["viewer", "operator", "admin"]],
];

for (const [role, token] of Object.entries(TOKENS)) {
  test(`the panel offers what the role ${role} may do, and nothing else`, needsRoles(), withPanel(() => lethe, "", { token }, async (page) => {
    await page.getByText(`(${role})`).waitFor();
    for (const [path, name, roles] of OFFERS) {
      await visit(page, lethe, path);
      const offered = (await page.getByRole("button", { name, exact: true }).count()) + (await page.getByRole("link", { name, exact: true }).count());
      assert.equal(offered > 0, roles.includes(role), `${name} at "${path}"`);
    }
  }));
}

test("the server refuses what the panel of a viewer hides", needsRoles(), async () => {
  for (const [method, path, body] of [
    ["DELETE", "/admin/users/user_seed_3"],
    ["POST", "/admin/cleanup-tasks/retry", { reason: "x" }],
    ...(needs("pause").skip ? [] : [["POST", "/admin/pause", { reason: "x" }]]),
  ]) {
    const { status } = await lethe.call(method, path, { token: TOKENS.viewer, body });
    assert.equal(status, 403, path);
  }
});

test("the question before a retry names the role's own token in the audit trail", needsRoles(), withPanel(() => lethe, "tasks?status=dead", { token: TOKENS.operator }, async (page) => {
  await page.getByRole("button", { name: "Retry all that match" }).click();
  await page.getByLabel("Reason").fill("By the operator.");
  await page.getByRole("dialog").getByRole("button", { name: "Retry all that match" }).click();
  await page.getByText("1 task is tried again.").waitFor();
  await visit(page, lethe, "audit?event=task-retried");
  await settled(page);
  assert.match(await page.locator("main [data-row]").first().textContent(), /admin:olaf/);
}));
