// @ts-check
/** Checks the signature of an erasure's receipt in the browser. docs/receipts.md says what is signed. */

/** @typedef {import("../types/calls").Answer<"/admin/users/{userId}/erasure", "get">} Receipt */
/** @typedef {import("../types/calls").Answer<"/admin/receipts", "get">["items"][number]} SealedReceipt */
/** @typedef {import("../types/calls").Answer<"/.well-known/lethe-receipts.json", "get">} Keys */

/**
 * @typedef {object} Verdict
 * @property {"valid" | "invalid" | "unchecked"} verdict
 * @property {string} why
 * @property {string} [keyId] the key that signed, if the signature is valid
 */

/** The version of the signed text that this page knows. */
const VERSION = 1;
/** What stands before the 32 bytes of an Ed25519 key (RFC 8410), in base64. */
const KEY_PREFIX = "MCowBQYDK2VwAyEA";
const KEY_PREFIX_BYTES = 12;

/** @param {string} why @returns {Verdict} */
const invalid = (why) => ({ verdict: "invalid", why });
/** @param {string} why @returns {Verdict} */
const unchecked = (why) => ({ verdict: "unchecked", why });

/**
 * Whether the sealed receipt is signed with one of these keys, and says what the page shows.
 * @param {Receipt} receipt what the page shows
 * @param {SealedReceipt | undefined} sealed the receipt at that place in the chain
 * @param {Keys} keys
 * @returns {Promise<Verdict>}
 */
export async function check(receipt, sealed, keys) {
  if (!sealed) return invalid(`The chain has no receipt ${receipt.sequence}.`);
  const body = parse(sealed.body);
  if (!body) return invalid("The signed text is not that of a receipt.");
  if (body.version !== VERSION) {
    return unchecked(`The receipt has version ${body.version}, and this page knows version ${VERSION}. Use \`lethe receipts verify\` of a newer version.`);
  }
  const key = keys.keys.find(({ keyId }) => keyId === body.keyId);
  if (!key) return invalid(`It names the key ${body.keyId}, which is not among the published keys.`);
  const difference = differs(receipt, sealed, body);
  if (difference) return invalid(difference);
  if (!globalThis.crypto?.subtle) {
    return unchecked("Browsers offer cryptography only to pages that came over https or from this machine.");
  }
  const info = bytesOfBase64(key.publicKey);
  if (!info || !key.publicKey.startsWith(KEY_PREFIX) || (await keyIdOf(info)) !== key.keyId) {
    return invalid(`The published key ${key.keyId} is no Ed25519 key of this id.`);
  }
  /** @type {CryptoKey} */
  let imported;
  try {
    imported = await crypto.subtle.importKey("spki", info, { name: "Ed25519" }, false, ["verify"]);
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotSupportedError") {
      return unchecked("This browser does not know Ed25519. Use a newer one, or `lethe receipts verify`.");
    }
    return invalid(`The published key ${key.keyId} cannot be read.`);
  }
  const previous = bytesOfHex(body.previousHash);
  if (!previous) return invalid("The signed text names no receipt before it.");
  const hash = await sha256(concat(previous, new TextEncoder().encode(sealed.body)));
  if (hex(hash) !== sealed.hash) return invalid("The text was changed: its hash is another one.");
  const signature = bytesOfBase64(sealed.signature);
  if (!signature || !(await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, hash))) {
    return invalid(`The signature was not made with the key ${key.keyId}.`);
  }
  return { verdict: "valid", why: `Signed as receipt ${body.sequence} of the chain with the key ${key.keyId}.`, keyId: key.keyId };
}

/**
 * In what the signed text differs from what the page shows.
 * @param {Receipt} receipt
 * @param {SealedReceipt} sealed
 * @param {any} body
 * @returns {string | undefined}
 */
function differs(receipt, sealed, body) {
  const amounts = (/** @type {object | undefined} */ of) =>
    Object.values(of ?? {})
      .map(Number)
      .filter((amount) => amount > 0)
      .sort((a, b) => a - b)
      .join();
  const kept = (/** @type {Receipt["kept"] | undefined} */ of) => (of ?? []).map(({ type, rows, why }) => `${type} ${rows} ${why}`).sort().join();
  const time = (/** @type {string | undefined} */ at) => Date.parse(at ?? "");
  const pairs = /** @type {[string, unknown, unknown][]} */ ([
    ["place in the chain", body.sequence, receipt.sequence],
    ["signature", sealed.signature, receipt.signature],
    ["time of the request", time(body.requestedAt), time(receipt.requestedAt)],
    ["time of the end", time(body.completedAt), time(receipt.completedAt)],
    ["number of deleted objects", body.objectsDeleted, receipt.objectsDeleted],
    ["number of kept objects", body.objectsKept, receipt.objectsKept],
    ["numbers of deleted rows", amounts(body.rowsDeleted), amounts(receipt.rowsDeleted)],
    ["numbers of kept rows", kept(body.kept), kept(receipt.kept)],
  ]);
  const found = pairs.find(([, signed, shown]) => signed !== shown);
  return found && `What this page shows is not what was signed: the ${found[0]} is another one.`;
}

/** @param {string} text @returns {any} an object, or undefined */
function parse(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

/** @param {Uint8Array<ArrayBuffer>} info SubjectPublicKeyInfo */
async function keyIdOf(info) {
  return hex((await sha256(info.slice(KEY_PREFIX_BYTES))).slice(0, 8));
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

/** @param {Uint8Array} a @param {Uint8Array} b */
function concat(a, b) {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** @param {Uint8Array} bytes */
function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {unknown} text */
function bytesOfHex(text) {
  if (typeof text !== "string" || !/^([0-9a-f]{2})+$/.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** @param {string} text */
function bytesOfBase64(text) {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}
