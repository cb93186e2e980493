// @ts-check
/** The address of the page is its state: the path says which page, the query holds its filters. */
import { computed, signal } from "../vendor/signals.js";

export const BASE = "/panel";

/** @typedef {{ path: string, query: URLSearchParams }} Place */

/** @returns {Place} */
function read() {
  const path = location.pathname.startsWith(`${BASE}/`) ? location.pathname.slice(BASE.length) : "/";
  return { path, query: new URLSearchParams(location.search) };
}

export const place = signal(read());

/** What stands in the path, decoded, without empty parts: `/tasks/42` is `["tasks", "42"]`. */
export const parts = computed(() => place.value.path.split("/").filter(Boolean).map(decode));

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The address of a page.
 * @param {string[]} path such as `["tasks", "42"]`
 * @param {Record<string, string | undefined>} [query]
 */
export function href(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(/** @type {[string, string][]} */ (given)).toString();
  return `${BASE}/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/**
 * @param {string} url
 * @param {{ replace?: boolean }} [options]
 */
export function go(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  arrive();
}

/**
 * Changes some parameters of the query and leaves the page at its first list page.
 * @param {Record<string, string | undefined>} changes
 */
export function setQuery(changes) {
  const query = new URLSearchParams(place.peek().query);
  query.delete("cursor");
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  go(`${BASE}${place.peek().path}${text ? `?${text}` : ""}`);
}

function arrive() {
  const before = place.peek().path;
  place.value = read();
  if (place.peek().path === before) return;
  scrollTo(0, 0);
  // A screen reader begins to read where the new page begins.
  requestAnimationFrame(() => {
    const heading = document.querySelector("h1");
    if (heading instanceof HTMLElement) heading.focus({ preventScroll: true });
  });
}

addEventListener("popstate", () => {
  place.value = read();
});

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.hash || !link.pathname.startsWith(`${BASE}/`)) return;
  event.preventDefault();
  go(link.href);
});
