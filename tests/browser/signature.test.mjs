// The signature of a receipt, checked in the page.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { after, before, test } from "node:test";
import { startLethe, until } from "./support/lethe.mjs";
import { assertAccessible, assertFits, PHONE, startBrowser, stopBrowser, visit, withPanel } from "./support/panel.mjs";

const PAGE = "erasures/user_seed_1";

let lethe;
let sealed;
let keys;
before(async () => {
  await startBrowser();
  lethe = await startLethe(["--seed", "2"]);
  for (const user of ["user_seed_1", "user_seed_2"]) {
    await lethe.call("DELETE", `/admin/users/${user}`);
    const receipt = async () => (await lethe.call("GET", `/admin/users/${user}/erasure`)).body;
    await until("the signature", async () => (await receipt()).signature !== undefined);
  }
  const { sequence } = (await lethe.call("GET", "/admin/users/user_seed_1/erasure")).body;
  sealed = (await lethe.call("GET", `/admin/receipts?sequence=${sequence}`)).body.items[0];
  keys = (await lethe.call("GET", "/.well-known/lethe-receipts.json")).body;
});
after(async () => {
  await stopBrowser();
  await lethe?.stop();
});
const panel = (path, options, body) => withPanel(() => lethe, path, options, body);

/** The verdict that the page shows, as one line. */
async function verdict(page) {
  await page.locator(".verdict").waitFor();
  return (await page.locator(".verdict").textContent()).replace(/\s+/g, " ").trim();
}
const answerReceipt = (page, receipt) =>
  page.route("**/admin/receipts?*", (route) => route.fulfill({ json: { items: receipt ? [receipt] : [] } }));
const answerErasure = (page, changed) =>
  page.route("**/admin/users/user_seed_1/erasure", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), ...changed } });
  });
const answerKeys = (page, answer) => page.route("**/.well-known/lethe-receipts.json", (route) => route.fulfill({ json: answer }));

function hashOf({ previousHash }, body) {
  return createHash("sha256").update(Buffer.from(previousHash, "hex")).update(body).digest();
}

/** A receipt with this text, signed with a key of somebody else. */
function forged(change) {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const info = publicKey.export({ type: "spki", format: "der" });
  const keyId = createHash("sha256").update(info.subarray(12)).digest("hex").slice(0, 16);
  const fields = { ...JSON.parse(sealed.body), ...change(keyId) };
  const body = JSON.stringify(fields);
  const hash = hashOf(fields, body);
  const signature = sign(null, hash, privateKey).toString("base64");
  return { receipt: { ...sealed, body, hash: hash.toString("hex"), signature, keyId, publicKey: info.toString("base64") }, signature };
}

for (const width of [1280, PHONE]) {
  test(`a good receipt is valid, and the page says what that proves, ${width} wide`, panel(PAGE, { width }, async (page) => {
    const { keyId } = JSON.parse(sealed.body);
    assert.equal(await verdict(page), `valid Signed as receipt ${sealed.sequence} of the chain with the key ${keyId}.`);
    await page.getByText("What a valid signature proves, and what not").click();
    await page.getByText("whose key it is: this page has the public key from the same server").waitFor();
    await page.getByText("The signed text and its signature").click();
    await page.getByText(sealed.body, { exact: true }).waitFor();
    await page.getByText(sealed.signature, { exact: true }).waitFor();
    await assertFits(page, "a signature");
    await assertAccessible(page, "a valid signature");
  }));
}

test("a receipt of another place in the chain is valid too", panel("erasures/user_seed_2", {}, async (page) => {
  assert.match(await verdict(page), /^valid Signed as receipt 2 of the chain/);
}));

test("a changed text, a new hash for it, and another signature are found", panel("", {}, async (page) => {
  const subject = "0".repeat(64);
  const body = JSON.stringify({ ...JSON.parse(sealed.body), subject });
  await answerReceipt(page, { ...sealed, body });
  await visit(page, lethe, PAGE);
  assert.equal(await verdict(page), "not valid The text was changed: its hash is another one.");
  await page.getByText("Do not rely on this receipt.").waitFor();
  await assertAccessible(page, "an invalid signature");

  await answerReceipt(page, { ...sealed, body, hash: hashOf(JSON.parse(body), body).toString("hex") });
  await visit(page, lethe, PAGE);
  assert.match(await verdict(page), /^not valid The signature was not made with the key [0-9a-f]{16}\.$/);

  // The same signature with one bit of it changed, in both answers.
  const bytes = Buffer.from(sealed.signature, "base64");
  bytes[9] ^= 1;
  const signature = bytes.toString("base64");
  await answerReceipt(page, { ...sealed, signature });
  await answerErasure(page, { signature });
  await visit(page, lethe, PAGE);
  assert.match(await verdict(page), /^not valid The signature was not made with the key/);
}));

test("a receipt that is signed with an unknown key is not valid, whatever id that key is given", panel("", {}, async (page) => {
  const unknown = forged((keyId) => ({ keyId }));
  await answerReceipt(page, unknown.receipt);
  await answerErasure(page, { signature: unknown.signature });
  await visit(page, lethe, PAGE);
  assert.match(await verdict(page), /^not valid It names the key [0-9a-f]{16}, which is not among the published keys\.$/);

  const disguised = forged(() => ({}));
  await answerReceipt(page, disguised.receipt);
  await answerErasure(page, { signature: disguised.signature });
  await visit(page, lethe, PAGE);
  assert.match(await verdict(page), /^not valid The signature was not made with the key/);

  // Even if it is published under the right id.
  await answerKeys(page, { ...keys, keys: [{ ...keys.keys[0], publicKey: disguised.receipt.publicKey }] });
  await visit(page, lethe, PAGE);
  assert.match(await verdict(page), /^not valid The published key [0-9a-f]{16} is no Ed25519 key of this id\.$/);
}));

test("a receipt that the chain does not have is not valid", panel("", {}, async (page) => {
  await answerReceipt(page, undefined);
  await visit(page, lethe, PAGE);
  assert.equal(await verdict(page), `not valid The chain has no receipt ${sealed.sequence}.`);
}));

test("a browser that cannot check says so, and calls nothing valid", panel("", {}, async (page) => {
  await page.addInitScript(() => {
    SubtleCrypto.prototype.importKey = () => Promise.reject(new DOMException("Unrecognized name.", "NotSupportedError"));
  });
  await visit(page, lethe, PAGE);
  assert.match(await verdict(page), /^cannot be checked here This browser does not know Ed25519\./);
  await assertAccessible(page, "a signature that cannot be checked");
  await page.addInitScript(() => Object.defineProperty(globalThis.crypto, "subtle", { value: undefined }));
  await visit(page, lethe, PAGE);
  assert.match(await verdict(page), /^cannot be checked here Browsers offer cryptography only/);
  await answerReceipt(page, { ...sealed, body: sealed.body.replace('"version":1', '"version":2') });
  await visit(page, lethe, PAGE);
  assert.match(await verdict(page), /^cannot be checked here The receipt has version 2/);
}));

test("keys that cannot be had are a problem, and no verdict", panel("", { refusals: [503] }, async (page) => {
  await page.route("**/.well-known/lethe-receipts.json", (route) =>
    route.fulfill({ status: 503, contentType: "application/problem+json", json: { title: "Service Unavailable", status: 503, detail: "The database cannot be reached." } }),
  );
  await visit(page, lethe, PAGE);
  await page.getByRole("alert").getByText("The database cannot be reached.").waitFor();
  assert.equal(await page.locator(".verdict").count(), 0);
}));

test("numbers that were changed in the database are not the signed ones", panel("", {}, async (page) => {
  await lethe.sql("alter table lethe.receipts disable trigger user; update lethe.receipts set objects_deleted = objects_deleted + 1 where user_id = 'user_seed_1'");
  await visit(page, lethe, PAGE);
  assert.equal(
    await verdict(page),
    "not valid What this page shows is not what was signed: the number of deleted objects is another one.",
  );
}));
