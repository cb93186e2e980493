// @ts-check
/** The filters of a list. They stand in the address, so that reload, back and a copied link show the same list. */
import { fromLocalInput, toLocalInput } from "../format.js";
import { html } from "../html.js";
import { place, setQuery } from "../router.js";

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
    return html`<input
      type="datetime-local"
      name=${name}
      value=${toLocalInput(value)}
      onChange=${(/** @type {any} */ event) => set(fromLocalInput(event.currentTarget.value))}
    />`;
  }
  return html`<input
    type="search"
    name=${name}
    value=${value ?? ""}
    placeholder=${hint}
    autocomplete="off"
    spellcheck=${false}
    onChange=${(/** @type {any} */ event) => set(event.currentTarget.value.trim())}
  />`;
}
