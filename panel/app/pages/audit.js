// @ts-check
import { useSignal } from "../../vendor/signals.js";
import { CallError, get, takes, words } from "../api.js";
import { count, number } from "../format.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { Empty, Heading, Id, Loaded, ProblemBox, Time } from "../parts/basic.js";
import { say } from "../parts/dialog.js";
import { Filters, values } from "../parts/filters.js";
import { save } from "../parts/save.js";
import { Pager, Table } from "../parts/table.js";
import { href, place } from "../router.js";

/** The most entries of one export. A longer trail is exported in stretches of time. */
const MAX_EXPORTED = 20_000;

/** @returns {import("../parts/filters.js").Filter[]} */
function filters() {
  /** @type {import("../parts/filters.js").Filter[]} */
  const all = [
    { name: "event", label: "Event", kind: "choice", words: words("listAudit", "event") },
    { name: "actor", label: "Actor", kind: "text", hint: "admin:alice" },
    { name: "userId", label: "User", kind: "text" },
    { name: "entityId", label: "Entity", kind: "text" },
    { name: "taskId", label: "Task", kind: "text" },
    { name: "after", label: "From", kind: "time" },
    { name: "before", label: "Until", kind: "time" },
  ];
  return all.filter(({ name }) => takes("listAudit", name));
}

export function Audit() {
  const fields = filters();
  const given = values(fields);
  const query = { ...given, cursor: place.value.query.get("cursor") ?? undefined };
  const filtered = Object.values(given).some((value) => value !== undefined);
  const live = useLive(`audit ${JSON.stringify(query)}`, (abort) => get("/admin/audit", { query, signal: abort }));
  return html`
    <${Heading} title="Audit"><${Export} filter=${given} /><//>
    <${Filters} filters=${fields} label="Filter the audit trail" />
    <${Loaded} live=${live}>
      ${(/** @type {any} */ page) => html`
        <${AuditTable}
          entries=${page.items}
          empty=${filtered ? "No entry matches these filters." : "Nothing was recorded yet."}
        />
        <${Pager} next=${page.nextCursor} />
      `}
    <//>
  `;
}

/** @param {{ entries: any[], empty: string }} props */
export function AuditTable({ entries, empty }) {
  return html`<${Table}
    label="Audit trail"
    rows=${entries}
    rowKey=${(/** @type {any} */ entry) => entry.id}
    rowHref=${(/** @type {any} */ entry) => entry.taskId && href(["tasks", entry.taskId])}
    empty=${empty}
    columns=${columns}
  />`;
}

/** @type {import("../parts/table.js").Column<any>[]} */
const columns = [
  { name: "Time", show: (entry) => html`<${Time} at=${entry.at} />` },
  { name: "Event", show: (entry) => entry.event },
  {
    name: "Who",
    show: (entry) =>
      entry.actor
        ? html`<span class="code">${entry.actor}</span>`
        : entry.worker
          ? html`<${Id} value=${entry.worker} what="worker id" />`
          : html`<span class="quiet-text">–</span>`,
  },
  { name: "User", show: (entry) => html`<${Id} value=${entry.userId} href=${entry.userId && href(["erasures", entry.userId])} what="user id" />` },
  { name: "Task", show: (entry) => html`<${Id} value=${entry.taskId} href=${entry.taskId && href(["tasks", entry.taskId])} what="task id" />` },
  {
    name: "Of",
    show: (entry) =>
      entry.entityId && entry.entityId !== entry.userId
        ? html`${entry.entityType} <${Id} value=${entry.entityId} what=${`${entry.entityType} id`} />`
        : (entry.entityType ?? html`<span class="quiet-text">–</span>`),
  },
  { name: "What", show: (entry) => html`<${What} entry=${entry} />` },
];

/** @param {{ entry: any }} props */
function What({ entry }) {
  // Those of the built-in map have lists of their own.
  const rows = Object.entries(entry.rowsRemoved ?? {})
    .filter(([type]) => !BUILT_IN.includes(type))
    .map(([type, ids]) => [`row of ${type}`, ids]);
  const lists = [...Object.entries(entry), ...rows].filter(([, value]) => Array.isArray(value) && value.length > 0);
  const error = entry.errorClass ? `${entry.errorClass}: ` : "";
  return html`
    ${(error || entry.detail) && html`<span class=${error ? "error" : ""}>${error}${entry.detail}</span>`}
    ${lists.map(
      ([name, value]) => html`<details key=${name}>
        <summary>${listed(name, /** @type {any[]} */ (value).length)}</summary>
        <ul class="keys-list">
          ${/** @type {any[]} */ (value).map((one) => html`<li><code>${typeof one === "string" ? one : JSON.stringify(one)}</code></li>`)}
        </ul>
      </details>`,
    )}
    ${!error && !entry.detail && lists.length === 0 && html`<span class="quiet-text">–</span>`}
  `;
}

const BUILT_IN = ["user", "collection", "sample", "sample-image"];

/** @type {Record<string, [thing: string, done: string]>} */
const LISTS = {
  objectKeys: ["object", "deleted"],
  keptKeys: ["object", "kept"],
  imageIds: ["image", "removed"],
  sampleIds: ["sample", "removed"],
  collectionIds: ["collection", "removed"],
};

/**
 * @param {string} name
 * @param {number} amount
 */
function listed(name, amount) {
  const [thing, done] = LISTS[name] ?? [name, "removed"];
  const many = thing.startsWith("row of ") ? `rows${thing.slice(3)}` : `${thing}s`;
  return `${count(amount, thing, many)} ${done}`;
}

/** @param {{ filter: Record<string, string | undefined> }} props */
function Export({ filter }) {
  const busy = useSignal(false);
  const problem = useSignal(/** @type {CallError | undefined} */ (undefined));
  const run = async () => {
    busy.value = true;
    problem.value = undefined;
    try {
      const { entries, more } = await all(filter);
      save("audit.jsonl", entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
      say(
        more
          ? `The newest ${number(entries.length)} entries are exported. Narrow the time to export older ones.`
          : `${count(entries.length, "entry is", "entries are")} exported.`,
      );
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      problem.value = error;
    } finally {
      busy.value = false;
    }
  };
  return html`
    <button type="button" disabled=${busy.value} onClick=${run}>${busy.value ? "Exporting …" : "Export as JSON lines"}</button>
    <${ProblemBox} problem=${problem.value} />
  `;
}

/** @param {Record<string, string | undefined>} filter */
async function all(filter) {
  /** @type {any[]} */
  const entries = [];
  /** @type {string | undefined} */
  let cursor;
  do {
    const page = await get("/admin/audit", { query: { ...filter, cursor, limit: "200" } });
    entries.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor && entries.length < MAX_EXPORTED);
  return { entries, more: cursor !== undefined };
}
