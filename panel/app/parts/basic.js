// @ts-check
/** Small things that every page shows: times, ids, states, problems. */
import { useSignal } from "../../vendor/signals.js";
import { fromNow, localTime, utcTime } from "../format.js";
import { html } from "../html.js";
import { now } from "../live.js";

/**
 * A time in the reader's time zone, with UTC on hover.
 * @param {{ at?: string, relative?: boolean }} props
 */
export function Time({ at, relative = false }) {
  if (!at) return html`<span class="none">–</span>`;
  // Times without an end, such as infinity in PostgreSQL, are shown as they are.
  if (Number.isNaN(Date.parse(at))) return html`<span>${at}</span>`;
  const title = `${localTime(at)} local time\n${utcTime(at)}`;
  return html`<time datetime=${at} title=${title}>${relative ? fromNow(at, now.value) : localTime(at)}</time>`;
}

/** @param {string} text */
export async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Without TLS a browser has no clipboard interface, except on this machine.
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

/**
 * An id, which can be copied whole even where it is too long to be shown whole.
 * @param {{ value?: string, href?: string, what?: string }} props
 */
export function Id({ value, href, what = "id" }) {
  const copied = useSignal(false);
  if (!value) return html`<span class="none">–</span>`;
  const onCopy = async () => {
    await copy(value);
    copied.value = true;
    setTimeout(() => (copied.value = false), 1500);
  };
  const text = href ? html`<a href=${href} title=${value}>${value}</a>` : html`<span title=${value}>${value}</span>`;
  return html`<span class="id">
    ${text}
    <button type="button" class="copy" onClick=${onCopy} aria-label=${`Copy the ${what} ${value}`}>
      ${copied.value ? "Copied" : "Copy"}
    </button>
  </span>`;
}

/**
 * The state of a task, an erasure or a worker, in a word and a colour.
 * @param {{ value: string, held?: string }} props
 */
export function Status({ value, held }) {
  return html`<span class=${`status ${held ? "held" : value}`} title=${held}>${held ? "held" : value}</span>`;
}

/**
 * Why something could not be shown or done, with the id under which the server's log has it.
 * @param {{ problem?: import("../api.js").CallError, retry?: () => void }} props
 */
export function ProblemBox({ problem, retry }) {
  if (!problem) return null;
  return html`<div class="problem" role="alert">
    <strong>${problem.title}${problem.status ? ` (${problem.status})` : ""}</strong>
    <p>${problem.message}</p>
    ${problem.fields?.length > 0 &&
    html`<ul>
      ${problem.fields.map((/** @type {any} */ fault) => html`<li><code>${fault.field}</code>: ${fault.message}</li>`)}
    </ul>`}
    ${problem.requestId && html`<p>Request <${Id} value=${problem.requestId} what="request id" /></p>`}
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

/**
 * What a page shows while its data are loading, when they could not be loaded, and when they are there.
 * @param {{ live: import("../live.js").Live<any>, children: (data: any) => any }} props
 */
export function Loaded({ live, children }) {
  return html`
    <${ProblemBox} problem=${live.problem} retry=${live.reload} />
    ${live.data === undefined
      ? !live.problem && html`<p class="loading" role="status">Loading …</p>`
      : html`<div class=${live.stale ? "stale" : ""} aria-busy=${live.stale}>${children(live.data)}</div>`}
  `;
}

/**
 * Says that there is nothing, and why.
 * @param {{ children: any }} props
 */
export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

/**
 * Says that this server has no such call.
 * @param {{ what: string }} props
 */
export function NotAvailable({ what }) {
  return html`<p class="empty">${what} not available: this version of the server does not offer the call.</p>`;
}

/**
 * The heading of a page. It takes the focus when the page is opened.
 * @param {{ title: string, children?: any }} props
 */
export function Heading({ title, children }) {
  document.title = `${title} – Lethe`;
  return html`<div class="heading">
    <h1 tabindex="-1">${title}</h1>
    <div class="actions">${children}</div>
  </div>`;
}

/**
 * Names and values, one below the other.
 * @param {{ rows: [string, any][] }} props rows whose value is undefined are left out
 */
export function Facts({ rows }) {
  const shown = rows.filter(([, value]) => value !== undefined && value !== null && value !== false);
  return html`<dl class="facts">
    ${shown.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}
