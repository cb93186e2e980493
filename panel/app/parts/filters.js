// @ts-check
/** The filters of a list. They stand in the address, so that reload, back and a copied link show the same list. */
import { useEffect, useLayoutEffect, useRef } from "../../vendor/hooks.js";
import { fromLocalInput, toLocalInput } from "../format.js";
import { html } from "../html.js";
import { place, setQuery } from "../router.js";

/** A time is changed by each of its digits. This long after the last of them it is taken, in milliseconds. */
const TYPING_MS = 1000;

/**
 * @typedef {object} Filter
 * @property {string} name of the parameter in the address and in the API
 * @property {string} label
 * @property {"text" | "choice" | "time"} kind
 * @property {string[]} [words] of a choice
 * @property {string} [hint]
 */

/**
 * The values of these filters, from the address.
 * @param {Filter[]} filters
 * @returns {Record<string, string | undefined>}
 */
export function values(filters) {
  const { query } = place.value;
  return Object.fromEntries(filters.map(({ name }) => [name, query.get(name) ?? undefined]));
}

/** @param {{ filters: Filter[], label: string, children?: any }} props */
export function Filters({ filters, label, children }) {
  const given = values(filters);
  const some = Object.values(given).some((value) => value !== undefined);
  const clear = () => setQuery(Object.fromEntries(filters.map(({ name }) => [name, undefined])));
  return html`<form
    class="filters"
    role="search"
    aria-label=${label}
    onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}
  >
    ${filters.map((filter) => html`<label key=${filter.name}>${filter.label}${field(filter, given[filter.name])}</label>`)}
    ${some && html`<button type="button" onClick=${clear}>Clear filters</button>`} ${children}
  </form>`;
}

/**
 * @param {Filter} filter
 * @param {string | undefined} value
 */
function field({ name, kind, words = [], hint }, value) {
  const set = (/** @type {string | undefined} */ text) => {
    if ((text ?? "") !== (value ?? "")) setQuery({ [name]: text });
  };
  if (kind === "choice") {
    return html`<select name=${name} value=${value ?? ""} onChange=${(/** @type {any} */ event) => set(event.currentTarget.value)}>
      <option value="">any</option>
      ${words.map((word) => html`<option value=${word} selected=${word === value}>${word}</option>`)}
    </select>`;
  }
  if (kind === "time") {
    return html`<${Input}
      type="datetime-local"
      name=${name}
      value=${toLocalInput(value)}
      pause=${TYPING_MS}
      onCommit=${(/** @type {string} */ text) => set(fromLocalInput(text))}
    />`;
  }
  return html`<${Input}
    type="search"
    name=${name}
    value=${value ?? ""}
    placeholder=${hint}
    autocomplete="off"
    spellcheck=${false}
    onCommit=${(/** @type {string} */ text) => set(text.trim())}
  />`;
}

/**
 * A field that shows `value` when that changes, and keeps what is typed when the page is drawn again for another reason.
 * @param {{ value: string, pause?: number, onCommit: (text: string) => void, [attribute: string]: any }} props `pause`
 *   is how long nothing more must be typed before a change counts, in milliseconds; Enter and leaving the field end it
 */
function Input({ value, pause = 0, onCommit, ...attributes }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  const latest = useRef(onCommit);
  latest.current = onCommit;
  useLayoutEffect(() => {
    if (field.current && field.current.value !== value) field.current.value = value;
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const commit = () => {
    clearTimeout(timer.current);
    if (field.current) latest.current(field.current.value);
  };
  const change = () => {
    clearTimeout(timer.current);
    if (pause > 0) timer.current = setTimeout(commit, pause);
    else commit();
  };
  const press = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Enter") commit();
  };
  return html`<input ref=${field} ...${attributes} onChange=${change} onBlur=${commit} onKeyDown=${press} />`;
}
