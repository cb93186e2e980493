// @ts-check
import { can, get, post, takes, words } from "../api.js";
import { html } from "../html.js";
import { now, useLive } from "../live.js";
import { Heading, Id, Loaded, Status, Time } from "../parts/basic.js";
import { Action } from "../parts/dialog.js";
import { Filters, values } from "../parts/filters.js";
import { Pager, Table } from "../parts/table.js";
import { href, place } from "../router.js";

/** @returns {import("../parts/filters.js").Filter[]} */
function filters() {
  /** @type {import("../parts/filters.js").Filter[]} */
  const all = [
    { name: "entityType", label: "Type", kind: "choice", words: words("listDeleted", "entityType") },
    { name: "entityId", label: "Id", kind: "text" },
    { name: "userId", label: "User", kind: "text" },
    { name: "deletedBy", label: "Deleted by", kind: "text", hint: "admin:alice" },
    { name: "taskStatus", label: "Task", kind: "choice", words: words("listDeleted", "taskStatus") },
    { name: "deletedAfter", label: "Deleted after", kind: "time" },
    { name: "deletedBefore", label: "Deleted before", kind: "time" },
  ];
  // A choice of one type of a map of one's own is a text.
  return all
    .filter(({ name }) => takes("listDeleted", name))
    .map((filter) => (filter.kind === "choice" && filter.words?.length === 0 ? { ...filter, kind: "text" } : filter));
}

export function Deleted() {
  const fields = filters();
  const given = values(fields);
  const query = { ...given, cursor: place.value.query.get("cursor") ?? undefined };
  const filtered = Object.values(given).some((value) => value !== undefined);
  const live = useLive(`deleted ${JSON.stringify(query)}`, (abort) => get("/admin/deleted", { query, signal: abort }));
  return html`
    <${Heading} title="Deleted, waiting" />
    <${Filters} filters=${fields} label="Filter what is deleted" />
    <${Loaded} live=${live}>
      ${(/** @type {any} */ page) => html`
        <${Table}
          label="Deleted rows that are not yet purged"
          rows=${page.items}
          rowKey=${(/** @type {any} */ row) => `${row.entityType} ${row.id}`}
          rowHref=${(/** @type {any} */ row) => row.taskId && href(["tasks", row.taskId])}
          empty=${filtered
            ? "Nothing that is deleted and waits matches these filters."
            : "Nothing waits: everything that was deleted is purged."}
          columns=${columns}
        />
        <${Pager} next=${page.nextCursor} />
      `}
    <//>
  `;
}

/** @type {import("../parts/table.js").Column<any>[]} */
const columns = [
  { name: "Type", show: (row) => row.entityType },
  { name: "Id", show: (row) => html`<${Id} value=${row.id} what=${`${row.entityType} id`} />` },
  { name: "User", show: (row) => html`<${Id} value=${row.userId} href=${href(["erasures", row.userId])} what="user id" />` },
  { name: "Deleted", show: (row) => html`<${Time} at=${row.deletedAt} />` },
  { name: "By", show: (row) => html`<span class="code">${row.deletedBy ?? "–"}</span>` },
  {
    name: "Task",
    show: (row) =>
      row.taskId
        ? html`${row.taskStatus && html`<${Status} value=${row.taskStatus} />${" "}`}<${Id} value=${row.taskId} href=${href(["tasks", row.taskId])} what="task id" />`
        : "none",
  },
  { name: "Purged", show: (row) => html`<${Time} at=${row.scheduledAt} relative />` },
  { name: "Restore", show: (row) => html`<${Restore} row=${row} />` },
];

/** @param {{ row: any }} props */
function Restore({ row }) {
  const ends = row.restorableUntil;
  if (!ends || Date.parse(ends) <= now.value) return html`<span class="none">–</span>`;
  const until = html`until <${Time} at=${ends} />`;
  const type = row.entityType;
  if (!can("restoreEntity")) return until;
  return html`<${Action}
      label="Restore"
      title=${`Restore this ${type}?`}
      asksReason=${false}
      done=${`The ${type} is live again.`}
      act=${async () => {
        await post("/entities/{type}/{id}/restore", { path: { type, id: row.id } });
      }}
    >
      <p>The ${type} <code>${row.id}</code> and what went with it will be live again.</p>
    <//>${" "}${until}`;
}
