// @ts-check
import { can, CallError, get, has, post } from "../api.js";
import { count, number, spaced } from "../format.js";
import { html } from "../html.js";
import { now, useLive } from "../live.js";
import { Empty, Facts, Heading, Id, Loaded, Status, Time } from "../parts/basic.js";
import { AgeBar } from "../parts/chart.js";
import { Action } from "../parts/dialog.js";
import { save } from "../parts/save.js";
import { Table } from "../parts/table.js";
import { href } from "../router.js";
import { check } from "../signature.js";
import { AuditTable } from "./audit.js";
import { ObjectProgress } from "./overview.js";
import { taskColumns } from "./tasks.js";

/** @typedef {Awaited<ReturnType<typeof load>>} Data */
/** @typedef {import("../signature.js").Receipt} ReceiptOfUser */
/** @typedef {ReceiptOfUser["parked"][number]} ParkedTask */

/** A receipt names so many parked tasks; their keys stand in the list of tasks. */
const MAX_DEAD = "100";

/**
 * @param {string} userId
 * @param {AbortSignal} abort
 */
async function load(userId, abort) {
  const query = { userId, limit: "50" };
  const [receipt, tasks, dead, audit] = await Promise.all([
    get("/admin/users/{userId}/erasure", { path: { userId }, signal: abort }).catch(notAsked),
    get("/admin/cleanup-tasks", { query, signal: abort }),
    get("/admin/cleanup-tasks", { query: { ...query, status: "dead", limit: MAX_DEAD }, signal: abort }),
    get("/admin/audit", { query, signal: abort }),
  ]);
  return { receipt, tasks, dead: dead.items, audit };
}

/** @param {unknown} error */
function notAsked(error) {
  if (error instanceof CallError && error.status === 404) return undefined;
  throw error;
}

/** @param {{ userId: string }} props */
export function Erasure({ userId }) {
  const live = useLive(userId, (abort) => load(userId, abort));
  const receipt = live.data?.receipt;
  return html`
    <${Heading} title="Erasure of a user">${receipt && html`<${Actions} receipt=${receipt} />`}<//>
    <p class="subject"><${Id} value=${userId} what="user id" /></p>
    <${Loaded} live=${live}>
      ${(/** @type {Data} */ data) =>
        data.receipt
          ? html`
              <${Receipt} receipt=${data.receipt} />
              <${Parked} parked=${data.receipt.parked} dead=${data.dead} />
              <${Rest} userId=${userId} data=${data} />
            `
          : html`<${Empty}>
                The erasure of this user was never asked for.
                ${can("eraseUser") && html` <a href=${href(["erase"], { user: userId })}>Erase this user</a>`}
              <//>
              <${Rest} userId=${userId} data=${data} />`}
    <//>
  `;
}

/** @param {{ receipt: any }} props */
function Actions({ receipt }) {
  const { userId } = receipt;
  const cancellable = ["held", "in-progress"].includes(receipt.status) && receipt.objectsDeleted === 0;
  return html`
    ${receipt.parked.length > 0 &&
    can("retryTasks") &&
    html`<${Action}
      label="Retry what is parked"
      title="Retry what is parked?"
      done="The parked tasks are tried again."
      act=${async (/** @type {string} */ reason) => {
        const { retried } = await post("/admin/cleanup-tasks/retry", { body: { userId, status: "dead", reason } });
        return `${count(retried, "task is", "tasks are")} tried again.`;
      }}
    >
      <p>${count(receipt.parked.length, "task")} of this user will be tried again at once.</p>
    <//>`}
    ${cancellable &&
    can("cancelErasure") &&
    html`<${Action}
      label="Cancel the erasure"
      title="Cancel this erasure?"
      done="The erasure is cancelled. The user's rows are live again."
      act=${async (/** @type {string} */ reason) => {
        await post("/admin/users/{userId}/erasure/cancel", { path: { userId }, body: { reason } });
      }}
    >
      <p>The user's rows will be live again. This is possible only until the first object is touched.</p>
    <//>`}
    <button type="button" onClick=${() => save(`receipt-${userId}.json`, `${JSON.stringify(receipt, null, 2)}\n`)}>Receipt as JSON</button>
    <button type="button" onClick=${() => print()}>Print</button>
  `;
}

/** @param {{ receipt: any }} props */
function Receipt({ receipt }) {
  const over = receipt.status === "complete" || receipt.status === "cancelled";
  const { objects, tasks } = receipt.remaining;
  const rows = Object.entries(receipt.rowsDeleted).filter(([, amount]) => Number(amount) > 0);
  return html`<section class="receipt" aria-labelledby="receipt">
    <h2 id="receipt">Receipt</h2>
    <${Facts}
      rows=${[
        ["Status", html`<${Status} value=${receipt.status} />`],
        ["Known", receipt.userKnown === false && "no: no row with this id was ever seen"],
        ["Requested", html`<${Time} at=${receipt.requestedAt} /> by <span class="code">${receipt.requestedBy}</span>`],
        ["Completed", receipt.completedAt && html`<${Time} at=${receipt.completedAt} />`],
        [
          "Age",
          !over && html`<${Time} at=${receipt.requestedAt} relative /><${AgeBar} seconds=${(now.value - Date.parse(receipt.requestedAt)) / 1000} />`,
        ],
        [
          "Objects",
          over ? `${number(receipt.objectsDeleted)} deleted` : html`<${ObjectProgress} receipt=${receipt} />`,
        ],
        ["Kept", receipt.objectsKept > 0 && `${count(receipt.objectsKept, "object")}, because live rows of others name them`],
        ["Left", over ? undefined : `${count(objects, "object")}, ${count(tasks, "task")}`],
        [
          "Rows deleted",
          rows.length === 0
            ? "none"
            : html`<ul class="inline">
                ${rows.map(([type, amount]) => html`<li key=${type}>${number(/** @type {number} */ (amount))} ${spaced(type).toLowerCase()}</li>`)}
              </ul>`,
        ],
        [
          "Rows kept",
          receipt.kept?.length > 0 &&
            html`<ul>
              ${receipt.kept.map((/** @type {any} */ kept) => html`<li>${number(kept.rows)} ${kept.type}: ${kept.why}</li>`)}
            </ul>`,
        ],
        [
          "Signature",
          receipt.status === "complete" &&
            (receipt.signature
              ? html`<${Signature} receipt=${receipt} />`
              : "not there yet: a worker signs a receipt within seconds after the end"),
        ],
      ]}
    />
  </section>`;
}

/** What each verdict is called. */
const VERDICTS = { valid: "valid", invalid: "not valid", unchecked: "cannot be checked here" };

/**
 * @param {import("../signature.js").Receipt} receipt
 * @param {AbortSignal} abort
 */
async function judge(receipt, abort) {
  const [page, keys] = await Promise.all([
    get("/admin/receipts", { query: { sequence: String(receipt.sequence) }, signal: abort }),
    get("/.well-known/lethe-receipts.json", { signal: abort }),
  ]);
  const sealed = page.items.find(({ sequence }) => sequence === receipt.sequence);
  return { ...(await check(receipt, sealed, keys)), sealed };
}

/** @param {{ receipt: import("../signature.js").Receipt }} props */
function Signature({ receipt }) {
  // What is signed does not change, so it is checked once, and again when the page shows something else.
  const live = useLive(JSON.stringify(receipt), (abort) => judge(receipt, abort), false);
  return html`<${Loaded} live=${live}>
    ${(/** @type {Awaited<ReturnType<typeof judge>>} */ { verdict, why, keyId, sealed }) => html`
      <p class="verdict">
        <span class=${`status ${verdict}`}>${VERDICTS[verdict]}</span>${" "}${why}
      </p>
      ${verdict === "invalid" &&
      html`<p><strong>Do not rely on this receipt.</strong> Keep an export (<code>lethe receipts export</code>) and find out who changed what.</p>`}
      <details>
        <summary>What a valid signature proves, and what not</summary>
        <p>
          It proves that a holder of the private key signed these times and numbers as receipt ${receipt.sequence}, and that
          nobody has changed them since.
        </p>
        <p>It does not prove</p>
        <ul>
          <li>
            whose key it is: this page has the public key from the same server. Compare its
            id${keyId && html` (<code>${keyId}</code>)`} with one that you noted elsewhere;
          </li>
          <li>that it is this user's: the signed text names no user, so this page relies on the server for that;</li>
          <li>
            that no other receipt is missing or was changed: <code>lethe receipts verify</code> checks the whole chain of an
            export;
          </li>
          <li>that the numbers are true, or anything about backups, logs and third parties.</li>
        </ul>
      </details>
      <details>
        <summary>The signed text and its signature</summary>
        ${sealed && html`<p><code class="signature">${sealed.body}</code></p>`}
        <p><code class="signature">${receipt.signature}</code></p>
      </details>
    `}
  <//>`;
}

/** @param {{ parked: ParkedTask[], dead: Data["dead"] }} props */
function Parked({ parked, dead }) {
  if (parked.length === 0) return null;
  const keys = new Map(dead.map(({ id, objectKeys }) => [id, objectKeys]));
  return html`<section aria-labelledby="parked">
    <h2 id="parked">Parked: a person must look</h2>
    <${Table}
      label="Parked tasks"
      rows=${parked}
      rowKey=${(/** @type {ParkedTask} */ row) => row.taskId}
      rowHref=${(/** @type {ParkedTask} */ row) => href(["tasks", row.taskId])}
      columns=${[
        { name: "Task", show: (/** @type {ParkedTask} */ row) => html`<${Id} value=${row.taskId} href=${href(["tasks", row.taskId])} what="task id" />` },
        { name: "Class", show: (/** @type {ParkedTask} */ row) => row.errorClass ?? "–" },
        { name: "Error", show: (/** @type {ParkedTask} */ row) => html`<span class="error">${row.lastError ?? "–"}</span>` },
        { name: "Keys", show: (/** @type {ParkedTask} */ row) => html`<${Keys} keys=${keys.get(row.taskId) ?? []} />` },
      ]}
    />
  </section>`;
}

/** @param {{ keys: string[] }} props */
function Keys({ keys }) {
  if (keys.length === 0) return html`<span class="none">–</span>`;
  return html`<details>
    <summary>${count(keys.length, "object")}</summary>
    <ul class="keys-list">
      ${keys.map((key) => html`<li key=${key}><${Id} value=${key} what="object key" /></li>`)}
    </ul>
  </details>`;
}

/** @param {{ userId: string, data: Data }} props */
function Rest({ userId, data }) {
  return html`
    <section aria-labelledby="tasks">
      <h2 id="tasks">Tasks</h2>
      <${Table}
        label="Tasks of this user"
        rows=${data.tasks.items}
        rowKey=${(/** @type {any} */ row) => row.id}
        rowHref=${(/** @type {any} */ row) => href(["tasks", row.id])}
        empty="This user has no tasks. Finished ones are removed after a while (CLEANUP_RETENTION_DAYS)."
        columns=${taskColumns}
      />
      ${data.tasks.nextCursor && html`<p><a href=${href(["tasks"], { userId })}>All tasks of this user</a></p>`}
    </section>
    <section aria-labelledby="audit">
      <h2 id="audit">Timeline, newest first</h2>
      <${AuditTable} entries=${data.audit.items} empty="Nothing was recorded of this user." />
      ${data.audit.nextCursor && html`<p><a href=${href(["audit"], { userId })}>The whole audit trail of this user</a></p>`}
    </section>
  `;
}
