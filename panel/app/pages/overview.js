// @ts-check
import { can, get, has, post } from "../api.js";
import { count, duration, number } from "../format.js";
import { html } from "../html.js";
import { now, useLive } from "../live.js";
import { Empty, Facts, Heading, Id, Loaded, NotAvailable, Status, Time } from "../parts/basic.js";
import { ALARM_DAYS, AgeBar, Bars, Progress, WARN_DAYS, urgency } from "../parts/chart.js";
import { Action } from "../parts/dialog.js";
import { Table } from "../parts/table.js";
import { href, place, setQuery } from "../router.js";

const WINDOWS = /** @type {const} */ ({ "1h": "1 hour", "24h": "24 hours", "7d": "7 days" });

/** @typedef {keyof typeof WINDOWS} Window */

/** @returns {Window} */
function chosenWindow() {
  const given = place.value.query.get("window");
  return given !== null && given in WINDOWS ? /** @type {Window} */ (given) : "1h";
}

export function Overview() {
  const window = chosenWindow();
  const live = useLive(`overview ${window}`, (abort) => load(window, abort));
  return html`
    <${Heading} title="Overview"><${PauseSwitch} settings=${live.data?.settings} /><//>
    <${Loaded} live=${live}>
      ${(/** @type {Data} */ data) => html`
        <${Sentence} data=${data} />
        <${InProgress} erasures=${data.erasures} />
        <${Counts} stats=${data.stats} />
        <${Charts} stats=${data.stats} window=${window} />
        <${Workers} workers=${data.workers} />
      `}
    <//>
  `;
}

/** @typedef {Awaited<ReturnType<typeof load>>} Data */

/**
 * @param {Window} window
 * @param {AbortSignal} abort
 */
async function load(window, abort) {
  const options = { signal: abort };
  const [stats, workers, settings, erasures] = await Promise.all([
    get("/admin/stats", { query: { window }, signal: abort }),
    get("/admin/workers", options),
    has("getSettings") ? get("/admin/settings", options) : undefined,
    has("listErasures") ? unfinished(abort) : undefined,
  ]);
  const oldest = stats.oldestUnfinishedErasureAgeSeconds;
  if (erasures && oldest >= WARN_DAYS * 86_400) {
    const days = oldest >= ALARM_DAYS * 86_400 ? ALARM_DAYS : WARN_DAYS;
    return { stats, workers: workers.items, settings, erasures: await withOldest(erasures, days, abort) };
  }
  return { stats, workers: workers.items, settings, erasures };
}

/** So many unfinished erasures of each status are shown, and the progress of so many. */
const MAX_SHOWN = "20";
const MAX_WITH_PROGRESS = 10;

/**
 * What a person should see first comes first.
 * @param {AbortSignal} abort
 */
export async function unfinished(abort) {
  const pages = await Promise.all(
    UNFINISHED.map((status) =>
      get("/admin/erasures", { query: { status, limit: MAX_SHOWN }, signal: abort }),
    ),
  );
  return withProgressOf(pages, [], abort);
}

/** The statuses of erasures that are not complete, those for a person first. */
const UNFINISHED = /** @type {const} */ (["incomplete", "held", "in-progress"]);

/**
 * The same, with those first that are older than so many days. The lists begin with the newest, so the oldest could be
 * missing.
 * @param {Unfinished} erasures
 * @param {number} days
 * @param {AbortSignal} abort
 */
async function withOldest(erasures, days, abort) {
  const requestedBefore = new Date(now.value - days * 86_400_000).toISOString();
  const pages = await Promise.all(
    UNFINISHED.map((status) =>
      get("/admin/erasures", { query: { status, requestedBefore, limit: MAX_SHOWN }, signal: abort }),
    ),
  );
  return withProgressOf(pages, erasures.items, abort);
}

/**
 * @typedef {Awaited<ReturnType<typeof withProgressOf>>} Unfinished
 */

/**
 * @param {any[]} pages one of each status
 * @param {any[]} others shown after them
 * @param {AbortSignal} abort
 */
async function withProgressOf(pages, others, abort) {
  const known = new Set();
  const items = [...pages.flatMap((page) => page.items), ...others].filter(
    ({ userId }) => !known.has(userId) && known.add(userId),
  );
  const receipts = await Promise.all(
    items.slice(0, MAX_WITH_PROGRESS).map(({ userId, receipt }) =>
      receipt ?? get("/admin/users/{userId}/erasure", { path: { userId }, signal: abort }),
    ),
  );
  return {
    items: items.map((item, index) => ({ ...item, receipt: receipts[index] })),
    /** The status of which there are more. */
    more: UNFINISHED.find((_, index) => pages[index].nextCursor),
  };
}

/**
 * How things are, in a sentence.
 * @param {{ data: Data }} props
 */
function Sentence({ data }) {
  const { stats, settings, workers, erasures } = data;
  const alive = workers.filter(({ state }) => state === "alive").length;
  const oldest = stats.oldestUnfinishedErasureAgeSeconds;
  const waiting = stats.tasks.pending + stats.tasks.running + stats.tasks.failed;
  const overdue = (erasures?.items ?? []).filter(
    (/** @type {any} */ { requestedAt }) => urgency((now.value - Date.parse(requestedAt)) / 1000) === "alarm",
  ).length;
  const [tone, text] = (() => {
    if (settings?.paused) return ["warn", `Cleanup is paused by ${settings.pausedBy}: ${settings.pausedReason}`];
    if (overdue > 0) return ["alarm", `${count(overdue, "erasure is", "erasures are")} overdue.`];
    if (oldest >= ALARM_DAYS * 86_400) return ["alarm", `An erasure is overdue: it was asked for ${duration(oldest)} ago.`];
    if (stats.tasks.dead > 0) return ["alarm", `${count(stats.tasks.dead, "task waits", "tasks wait")} for a person.`];
    if (settings?.erasuresHeld) return ["warn", `${count(settings.erasuresHeld, "erasure is", "erasures are")} held.`];
    if (waiting > 0 && alive === 0) return ["alarm", "No worker is alive, and there is work to do."];
    if (oldest > 0) return ["busy", `Erasing. The oldest erasure was asked for ${duration(oldest)} ago.`];
    if (waiting > 0) return ["busy", `${count(waiting, "task is", "tasks are")} waiting or under way.`];
    return ["calm", "Everything is erased."];
  })();
  return html`<p class=${`sentence ${tone}`} role="status">${text}</p>`;
}

/** @param {{ erasures: Data["erasures"] }} props */
export function InProgress({ erasures }) {
  return html`<section aria-labelledby="in-progress">
    <h2 id="in-progress">Erasures that are not complete</h2>
    ${erasures === undefined
      ? html`<${NotAvailable} what="The list of erasures is" />`
      : html`<${Table}
            label="Erasures that are not complete"
            rows=${erasures.items}
            rowKey=${(/** @type {any} */ row) => row.taskId ?? row.userId}
            rowHref=${(/** @type {any} */ row) => href(["erasures", row.userId])}
            empty="None: every erasure that was asked for is complete."
            columns=${withProgress}
          />
          ${erasures.more && html`<p>There are more. <a href=${href(["erasures"], { status: erasures.more })}>All that are ${erasures.more}</a></p>`}`}
  </section>`;
}

/** @type {import("../parts/table.js").Column<any>[]} */
export const erasureColumns = [
  { name: "User", show: (row) => html`<${Id} value=${row.userId} href=${href(["erasures", row.userId])} what="user id" />` },
  { name: "Status", show: (row) => html`<${Status} value=${row.status} />` },
  {
    name: "Age, of the month that the law allows",
    show: (row) => (row.completedAt ? html`done <${Time} at=${row.completedAt} relative />` : html`<${Age} erasure=${row} />`),
  },
  { name: "Requested by", show: (row) => html`<span class="code">${row.requestedBy}</span>` },
];

/** @param {{ erasure: any }} props */
function Age({ erasure }) {
  const seconds = (now.value - Date.parse(erasure.requestedAt)) / 1000;
  return html`<${Time} at=${erasure.requestedAt} relative /><${AgeBar} seconds=${seconds} />`;
}

const withProgress = [
  ...erasureColumns.slice(0, 3),
  { name: "Objects", show: (/** @type {any} */ row) => html`<${ObjectProgress} receipt=${row.receipt} />` },
  ...erasureColumns.slice(3),
];

/** @param {{ receipt?: any }} props */
export function ObjectProgress({ receipt }) {
  if (!receipt) return html`<span class="none">–</span>`;
  const all = receipt.objectsDeleted + receipt.objectsKept + receipt.remaining.objects;
  const done = receipt.objectsDeleted + receipt.objectsKept;
  const text = `${number(done)} of ${number(all)} objects`;
  return html`${text} <${Progress} done=${done} all=${all} label=${text} />`;
}

const STATES = /** @type {const} */ (["pending", "running", "failed", "dead", "completed", "cancelled"]);
/** Above this number of tasks the server estimates most counts. */
const ESTIMATED_ABOVE = 1_000_000;

/** @param {{ stats: Data["stats"] }} props */
function Counts({ stats }) {
  const all = STATES.reduce((sum, state) => sum + stats.tasks[state], 0);
  const about = (/** @type {string} */ state) =>
    all > ESTIMATED_ABOVE && state !== "failed" && state !== "dead" ? "about " : "";
  return html`<section aria-labelledby="by-state">
    <h2 id="by-state">Tasks</h2>
    <ul class="counts">
      ${STATES.map(
        (state) => html`<li key=${state}>
          <a href=${href(["tasks"], { status: state })}>
            <strong>${about(state)}${number(stats.tasks[state])}</strong> <${Status} value=${state} />
          </a>
        </li>`,
      )}
    </ul>
    <${Facts}
      rows=${[
        ["Oldest due", stats.oldestDueAgeSeconds > 0 ? `for ${duration(stats.oldestDueAgeSeconds)}` : "nothing is due"],
        ["Completed", `${number(stats.throughput.lastMinute)} in the last minute, ${number(stats.throughput.lastHour)} in the last hour`],
      ]}
    />
  </section>`;
}

/** @param {{ stats: Data["stats"], window: Window }} props */
function Charts({ stats, window }) {
  const buckets = stats.series?.buckets ?? [];
  const withDay = window === "7d";
  return html`<section aria-labelledby="over-time">
    <h2 id="over-time">Over time</h2>
    <div class="tabs" role="group" aria-label="Time that the charts cover">
      ${Object.entries(WINDOWS).map(
        ([value, name]) =>
          html`<button key=${value} type="button" aria-pressed=${value === window} onClick=${() => setQuery({ window: value })}>
            ${name}
          </button>`,
      )}
    </div>
    ${buckets.length > 0 &&
    html`<div class="charts">
      <${Bars} title="Settled tasks" buckets=${buckets} withDay=${withDay}
        layers=${[{ name: "completed", className: "completed", value: (/** @type {any} */ bucket) => bucket.completed }]} />
      <${Bars} title="Deleted objects" buckets=${buckets} withDay=${withDay}
        layers=${[{ name: "deleted", className: "deleted", value: (/** @type {any} */ bucket) => bucket.objectsDeleted }]} />
      <${Bars} title="Failures" buckets=${buckets} withDay=${withDay}
        layers=${[
          { name: "tried again", className: "failed", value: (/** @type {any} */ bucket) => bucket.failed },
          { name: "dead", className: "dead", value: (/** @type {any} */ bucket) => bucket.dead },
        ]} />
    </div>`}
  </section>`;
}

/** @param {{ workers: Data["workers"] }} props */
function Workers({ workers }) {
  return html`<section aria-labelledby="workers">
    <h2 id="workers">Workers</h2>
    ${workers.some(({ state }) => state === "alive")
      ? html`<${WorkerTable} workers=${workers.filter(({ state }) => state !== "gone")} />`
      : html`<${Empty}>No worker is alive. Start one with <code>lethe worker</code>.<//>`}
  </section>`;
}

/** @param {{ workers: Data["workers"] }} props */
export function WorkerTable({ workers }) {
  return html`<${Table}
    label="Workers"
    rows=${workers}
    rowKey=${(/** @type {any} */ row) => row.id}
    empty="No worker has run within the last hour."
    columns=${workerColumns}
  />`;
}

/** @type {import("../parts/table.js").Column<any>[]} */
const workerColumns = [
  { name: "Worker", show: (row) => html`<${Id} value=${row.id} what="worker id" />` },
  { name: "State", show: (row) => html`<${Status} value=${row.state} />` },
  {
    name: "Holds",
    show: (row) =>
      row.tasks === 0
        ? row.idle && row.state === "alive" ? "nothing, it waits for work" : "nothing"
        : html`${count(row.tasks, "task")}:
            ${row.taskIds.map((/** @type {string} */ id) => html` <a href=${href(["tasks", id])}>${id}</a>`)}
            ${row.tasks > row.taskIds.length ? " …" : ""}`,
  },
  { name: "Started", show: (row) => html`<${Time} at=${row.startedAt} relative />` },
  {
    name: "Lease",
    show: (row) => (row.lostAt ? html`ended <${Time} at=${row.lostAt} relative />` : html`ends <${Time} at=${row.leaseExpiresAt} relative />, if not renewed`),
  },
];

/** @param {{ settings?: any }} props */
function PauseSwitch({ settings }) {
  const held = settings?.erasuresHeld ?? 0;
  if (settings?.paused || held > 0) {
    if (!can("resume")) return null;
    return html`<${Action}
      label=${settings.paused ? "Resume" : "Release what is held"}
      title=${settings.paused ? "Resume cleanup?" : "Release what is held?"}
      typed=${held > 0 ? `release ${held}` : undefined}
      danger=${held > 0}
      done="Cleanup runs."
      act=${async (/** @type {string} */ reason) => {
        const answer = await post("/admin/resume", { body: { reason } });
        const released = answer?.released ?? 0;
        return released > 0 ? `Cleanup runs. ${count(released, "held erasure")} released.` : "Cleanup runs.";
      }}
    >
      ${settings.paused && html`<p>Workers begin again to delete what is due.</p>`}
      ${held > 0 && html`<p>${count(held, "held erasure")} will be released, and objects will be deleted for good.</p>`}
    <//>`;
  }
  if (!can("pause")) return null;
  return html`<${Action}
    label="Pause cleanup"
    title="Pause cleanup?"
    done="Cleanup is paused."
    act=${(/** @type {string} */ reason) => post("/admin/pause", { body: { reason } })}
  >
    <p>Workers claim nothing more. What they hold is finished. Deletions are still accepted, and nothing is forgotten.</p>
  <//>`;
}
