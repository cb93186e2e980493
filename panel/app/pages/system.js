// @ts-check
import { get, has, me, version } from "../api.js";
import { spaced } from "../format.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { copy, Facts, Heading, Loaded, NotAvailable, Status, Time } from "../parts/basic.js";
import { say } from "../parts/dialog.js";
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
  const diagnose = async () => {
    // None of these calls answers secrets.
    const diagnosis = { version: version.value, at: new Date().toISOString(), browser: navigator.userAgent, ...live.data };
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
  return String(value);
}
