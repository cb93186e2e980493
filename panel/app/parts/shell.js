// @ts-check
/** What stands around every page: navigation, refresh, theme, who is signed in, keys. */
import { useEffect } from "../../vendor/hooks.js";
import { signal } from "../../vendor/signals.js";
import { can, get, has, me, version } from "../api.js";
import { html } from "../html.js";
import { INTERVALS, interval, refresh, chooseInterval, useLive } from "../live.js";
import { go, href, parts } from "../router.js";
import { signOut } from "../session.js";
import { setTheme, theme } from "../theme.js";
import { Time } from "./basic.js";
import { Dialog, Said } from "./dialog.js";

/** @type {{ path: string[], name: string, key: string, needs?: string }[]} */
export const PAGES = [
  { path: [], name: "Overview", key: "o" },
  { path: ["erasures"], name: "Erasures", key: "e" },
  { path: ["erase"], name: "Erase a user", key: "u", needs: "eraseUser" },
  { path: ["deleted"], name: "Deleted, waiting", key: "d" },
  { path: ["tasks"], name: "Tasks", key: "t" },
  { path: ["audit"], name: "Audit", key: "a" },
  { path: ["system"], name: "System", key: "s" },
];

const helpIsOpen = signal(false);

/** @param {{ children: any }} props */
export function Shell({ children }) {
  useEffect(() => {
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  const here = parts.value[0];
  return html`
    <a class="skip" href="#main" onClick=${focusMain}>Skip to the content</a>
    <header class="top">
      <a class="brand" href=${href([])}>Lethe</a>
      <nav aria-label="Pages">
        ${PAGES.filter(({ needs }) => !needs || can(needs)).map(
          ({ path, name }) =>
            html`<a key=${name} href=${href(path)} aria-current=${path[0] === here ? "page" : undefined}>${name}</a>`,
        )}
      </nav>
      <div class="controls">
        <${Refresh} />
        <${ThemeSwitch} />
        <button type="button" class="quiet" onClick=${() => (helpIsOpen.value = true)} aria-label="Keys (?)" title="Keys (?)">?</button>
        <span class="who" title="Whose token this is">${me.value?.name}${me.value?.role ? ` (${me.value.role})` : ""}</span>
        <button type="button" class="quiet" onClick=${() => signOut()}>Sign out</button>
      </div>
    </header>
    <${Paused} />
    <${Said} />
    <main id="main" tabindex="-1">${children}</main>
    <footer>Lethe ${version.value} · <a href="/docs" target="_blank" rel="noopener">API</a></footer>
    ${helpIsOpen.value && html`<${Help} />`}
  `;
}

/** @param {Event} event */
function focusMain(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** Above every page while cleanup is paused. */
function Paused() {
  if (!has("getSettings")) return null;
  return html`<${PausedNow} />`;
}

function PausedNow() {
  const { data } = useLive("settings", (abort) => get("/admin/settings", { signal: abort }));
  if (!data?.paused) return null;
  return html`<p class="paused" role="status">
    Cleanup is paused by ${data.pausedBy}: ${data.pausedReason} (<${Time} at=${data.pausedAt} relative />)
  </p>`;
}

function Refresh() {
  return html`<span class="refresh">
    <button type="button" class="quiet" onClick=${refresh} title="Refresh now (r)">Refresh</button>
    <select
      aria-label="Refresh every"
      value=${interval.value}
      onChange=${(/** @type {any} */ event) => chooseInterval(Number(event.currentTarget.value))}
    >
      ${INTERVALS.map(
        (seconds) =>
          html`<option value=${seconds} selected=${seconds === interval.value}>${seconds ? `${seconds} s` : "off"}</option>`,
      )}
    </select>
  </span>`;
}

const THEMES = { system: "Auto", light: "Light", dark: "Dark" };

function ThemeSwitch() {
  return html`<select
    aria-label="Colours"
    value=${theme.value}
    onChange=${(/** @type {any} */ event) => setTheme(event.currentTarget.value)}
  >
    ${Object.entries(THEMES).map(
      ([value, name]) => html`<option value=${value} selected=${value === theme.value}>${name}</option>`,
    )}
  </select>`;
}

function Help() {
  const keys = [
    ["/", "Go to the search, or to the first filter with a text"],
    ["j, k", "Go to the next or the previous row"],
    ["Enter", "Open the row"],
    ["r", "Refresh now"],
    ...PAGES.filter(({ needs }) => !needs || can(needs)).map(({ key, name }) => [`g ${key}`, name]),
    ["?", "Show these keys"],
  ];
  return html`<${Dialog} title="Keys" onClose=${() => (helpIsOpen.value = false)}>
    <dl class="keys">
      ${keys.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}
    </dl>
    <form method="dialog"><button>Close</button></form>
  <//>`;
}

let afterG = 0;

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
  const target = event.target instanceof Element ? event.target : null;
  if (target?.closest("input, select, textarea")) {
    if (event.key === "Escape" && target instanceof HTMLElement) target.blur();
    return;
  }
  if (event.timeStamp - afterG < 1500) {
    afterG = 0;
    const page = PAGES.find(({ key, needs }) => key === event.key && (!needs || can(needs)));
    if (page) {
      event.preventDefault();
      go(href(page.path));
      return;
    }
  }
  if (event.key === "g") afterG = event.timeStamp;
  else if (event.key === "r") refresh();
  else if (event.key === "?") helpIsOpen.value = true;
  else if (event.key === "/") focusSearch(event);
  else if (event.key === "j" || event.key === "k") moveRow(event, event.key === "j" ? 1 : -1);
  else if (event.key === "Enter" && target instanceof HTMLElement && target.dataset.href) go(target.dataset.href);
}

/** @param {Event} event */
function focusSearch(event) {
  const field = document.querySelector("main input[type=search]") ?? document.querySelector("main form :is(input, select)");
  if (!(field instanceof HTMLElement)) return;
  event.preventDefault();
  field.focus();
}

/**
 * @param {Event} event
 * @param {number} step
 */
function moveRow(event, step) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-row]")]);
  if (rows.length === 0) return;
  event.preventDefault();
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step));
  rows[next].focus();
}
