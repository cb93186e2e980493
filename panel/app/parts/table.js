// @ts-check
/** Lists as tables; on a narrow screen each row becomes a card. */
import { html } from "../html.js";
import { BASE, place } from "../router.js";
import { Empty } from "./basic.js";

/**
 * @template T
 * @typedef {object} Column
 * @property {string} name
 * @property {(row: T) => any} show
 * @property {string} [className]
 */

/**
 * @template T
 * @param {object} props
 * @param {string} props.label what the table lists, for screen readers
 * @param {Column<T>[]} props.columns
 * @param {T[]} props.rows
 * @param {(row: T) => string} props.rowKey
 * @param {(row: T) => string | undefined} [props.rowHref] where Enter on a row leads
 * @param {any} props.empty what is said when there are no rows
 * @param {import("../../vendor/signals.js").Signal<Set<string>>} [props.selection] keys of the chosen rows
 * @param {(row: T) => boolean} [props.selectable]
 */
export function Table({ label, columns, rows, rowKey, rowHref, empty, selection, selectable }) {
  if (rows.length === 0) return html`<${Empty}>${empty}<//>`;
  const keys = rows.filter((row) => !selectable || selectable(row)).map(rowKey);
  const chosen = selection?.value ?? new Set();
  const all = keys.length > 0 && keys.every((key) => chosen.has(key));
  const choose = (/** @type {string[]} */ which, /** @type {boolean} */ on) => {
    if (!selection) return;
    const next = new Set(selection.value);
    for (const key of which) next[on ? "add" : "delete"](key);
    selection.value = next;
  };
  const box = (/** @type {string} */ text, /** @type {string[]} */ which, /** @type {boolean} */ on) =>
    html`<input
      type="checkbox"
      aria-label=${text}
      checked=${on}
      disabled=${which.length === 0}
      onChange=${(/** @type {any} */ event) => choose(which, event.currentTarget.checked)}
    />`;
  return html`<div class="table" role="region" aria-label=${label} tabindex="0">
    <table>
      <caption class="unseen">${label}</caption>
      <thead>
        <tr>
          ${selection && html`<th scope="col" class="choose">${box("Choose all rows of this page", keys, all)}</th>`}
          ${columns.map(({ name, className }) => html`<th scope="col" class=${className}>${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map((row) => {
          const key = rowKey(row);
          const may = !selectable || selectable(row);
          return html`<tr key=${key} data-row data-href=${rowHref?.(row)} tabindex="-1">
            ${selection && html`<td class="choose">${box(`Choose ${key}`, may ? [key] : [], chosen.has(key))}</td>`}
            ${columns.map(({ name, show, className }) => html`<td class=${className} data-label=${name}><div>${show(row)}</div></td>`)}
          </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}

/**
 * Leads to the next page of a list. The browser's back button leads to the one before.
 * @param {{ next?: string, label?: string }} props
 */
export function Pager({ next, label = "Older" }) {
  const { path, query } = place.value;
  const to = (/** @type {string | undefined} */ cursor) => {
    const changed = new URLSearchParams(query);
    changed.delete("cursor");
    if (cursor) changed.set("cursor", cursor);
    const text = changed.toString();
    return `${BASE}${path}${text ? `?${text}` : ""}`;
  };
  if (!next && !query.has("cursor")) return null;
  return html`<nav class="pager" aria-label="Pages of this list">
    ${query.has("cursor") && html`<a class="button" href=${to(undefined)}>First page</a>`}
    ${next && html`<a class="button" rel="next" href=${to(next)}>${label}</a>`}
    ${!next && html`<span>This is the end of the list.</span>`}
  </nav>`;
}
