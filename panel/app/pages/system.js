// @ts-check
import { get, has, me, version } from "../api.js";
import { number, spaced } from "../format.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { copy, Facts, Heading, Id, Loaded, NotAvailable, Status, Time } from "../parts/basic.js";
import { say } from "../parts/dialog.js";
import { Table } from "../parts/table.js";
import { WorkerTable } from "./overview.js";

/** @param {AbortSignal} abort */
async function load(abort) {
  const options = { signal: abort };
  const [ready, stats, workers, settings] = await Promise.all([
    get("/health/ready", options).catch((error) => ({ status: "not ready", detail: String(error.message) })),
    get("/admin/stats", options),
    get("/admin/workers", options),
    has("getSettings") ? get("/admin/settings", options) : undefined,
  ]);
  return { ready, stats, workers: workers.items, settings };
}

export function System() {
  const live = useLive("system", load);
  // The whole catalog of the database is read for it, so it is not asked for again and again.
  const map = useLive("map", (abort) => get("/admin/map", { signal: abort }), false);
  const diagnose = async () => {
    // None of these calls answers secrets.
    const diagnosis = { version: version.value, at: new Date().toISOString(), browser: navigator.userAgent, ...live.data, map: map.data };
    await copy(`${JSON.stringify(diagnosis, null, 2)}\n`);
    say("The diagnosis is copied. It has no secrets in it.");
  };
  return html`
    <${Heading} title="System">
      <button type="button" disabled=${!live.data} onClick=${diagnose}>Copy a diagnosis</button>
    <//>
    <${Loaded} live=${live}>
      ${(/** @type {Awaited<ReturnType<typeof load>>} */ { ready, workers, settings }) => html`
        <section aria-labelledby="server">
          <h2 id="server">This server</h2>
          <${Facts}
            rows=${[
              ["Version", version.value],
              ["State", html`<${Status} value=${ready.status} />`],
              ["What to look at", ready.detail],
              ["Your token", `${me.value?.name}${me.value?.role ? `, with the role ${me.value.role}` : ""}`],
            ]}
          />
        </section>
        <${MapOfSystem} live=${map} />
        <section aria-labelledby="workers">
          <h2 id="workers">Workers</h2>
          <${WorkerTable} workers=${workers} />
        </section>
        <section aria-labelledby="settings">
          <h2 id="settings">Settings</h2>
          ${settings ? html`<${Facts} rows=${settingRows(settings)} />` : html`<${NotAvailable} what="The settings are" />`}
        </section>
      `}
    <//>
  `;
}

/** @typedef {import("../../types/calls").Answer<"/admin/map", "get">} MapState */
/** @typedef {MapState["findings"][number]} MapFinding */

/** What the gate says, in a sentence. */
const RESULTS = {
  complete: "The map speaks of everything that the gate looks for.",
  found: "An erasure would leave something, or would be dangerous.",
  differs: "Another map is applied to the database.",
};

/** @param {{ live: import("../live.js").Live<MapState> }} props */
function MapOfSystem({ live }) {
  return html`<section aria-labelledby="map">
    <h2 id="map">Database and erasure map</h2>
    <${Loaded} live=${live}>
      ${(/** @type {MapState} */ { database, digest, tables, buckets, result, findings }) => html`
        <${Facts}
          rows=${[
            ["Database", `${database.name}, PostgreSQL ${database.version}, as ${database.role}`],
            ["Tables", `${number(tables.length)} of ${number(database.tables)} are mapped: ${tables.map(({ table, type }) => `${table} (${type})`).join(", ")}`],
            ["Buckets", buckets.map(({ alias, name }) => `${alias}: ${name ?? "S3_BUCKET of the workers"}`).join(", ") || "none"],
            ["Digest", html`<${Id} value=${digest} what="digest of the map" />`],
            ["The gate", html`<${Status} value=${result === "complete" ? "complete" : "incomplete"} /> ${RESULTS[/** @type {keyof typeof RESULTS} */ (result)] ?? result}`],
          ]}
        />
        <${Table}
          label="What the gate found"
          rows=${findings}
          rowKey=${(/** @type {MapFinding} */ row) => `${row.code} ${row.place}`}
          empty="The gate found nothing. It did not look at values; lethe map check does."
          columns=${[
            { name: "Severity", show: (/** @type {MapFinding} */ row) => row.severity },
            { name: "Code", show: (/** @type {MapFinding} */ row) => html`<span class="code">${row.code}</span>` },
            { name: "Place", show: (/** @type {MapFinding} */ row) => html`<span class="code">${row.place}</span>` },
            { name: "What, and how to mend it", show: (/** @type {MapFinding} */ row) => row.detail },
          ]}
        />
      `}
    <//>
  </section>`;
}

/**
 * @param {any} settings
 * @returns {[string, any][]}
 */
function settingRows(settings) {
  return Object.entries(settings).map(([name, value]) => [spaced(name), show(value)]);
}

/** @param {any} value @returns {any} */
function show(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value)) return html`<${Time} at=${value} />`;
  if (Array.isArray(value)) return value.map(show);
  if (typeof value === "object" && value !== null) return html`<${Facts} rows=${settingRows(value)} />`;
  return typeof value === "number" ? number(value) : String(value);
}
