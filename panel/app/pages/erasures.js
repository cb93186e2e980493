// @ts-check
import { get, has, takes, words } from "../api.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { Heading, Loaded, NotAvailable, Time } from "../parts/basic.js";
import { Filters, values } from "../parts/filters.js";
import { Pager, Table } from "../parts/table.js";
import { href, place } from "../router.js";
import { erasureColumns, InProgress, unfinished } from "./overview.js";

/** @returns {import("../parts/filters.js").Filter[]} */
function filters() {
  /** @type {import("../parts/filters.js").Filter[]} */
  const all = [
    { name: "status", label: "Status", kind: "choice", words: words("listErasures", "status") },
    { name: "requestedBy", label: "Requested by", kind: "text", hint: "admin:alice" },
    { name: "requestedAfter", label: "Requested after", kind: "time" },
    { name: "requestedBefore", label: "Requested before", kind: "time" },
  ];
  return all.filter(({ name }) => takes("listErasures", name));
}

export function Erasures() {
  return html`
    <${Heading} title="Erasures" />
    ${has("listErasures") ? html`<${List} />` : html`<${NotAvailable} what="The list of erasures is" />`}
  `;
}

function List() {
  const fields = filters();
  const given = values(fields);
  const query = { ...given, cursor: place.value.query.get("cursor") ?? undefined };
  const filtered = Object.values(given).some((value) => value !== undefined);
  // Without a filter, what a person must look at stands first, with its progress.
  const isFirst = !filtered && query.cursor === undefined;
  const live = useLive(`erasures ${JSON.stringify(query)}`, async (abort) => {
    const [page, open] = await Promise.all([
      get("/admin/erasures", { query, signal: abort }),
      isFirst ? unfinished(abort) : undefined,
    ]);
    return { page, open };
  });
  return html`
    <${Filters} filters=${fields} label="Filter the erasures" />
    <${Loaded} live=${live}>
      ${(/** @type {any} */ { page, open }) => html`
        ${open && open.items.length > 0 && html`<${InProgress} erasures=${open} />`}
        ${open && html`<h2>All, newest first</h2>`}
        <${Table}
          label="Erasures"
          rows=${page.items}
          rowKey=${(/** @type {any} */ row) => row.taskId ?? row.userId}
          rowHref=${(/** @type {any} */ row) => href(["erasures", row.userId])}
          empty=${filtered ? "No erasure matches these filters." : "Nobody's erasure was ever asked for."}
          columns=${columns}
        />
        <${Pager} next=${page.nextCursor} />
      `}
    <//>
  `;
}

const columns = [
  ...erasureColumns,
  { name: "Requested", show: (/** @type {any} */ row) => html`<${Time} at=${row.requestedAt} />` },
];
