// @ts-check
import { useRef } from "../../vendor/hooks.js";
import { can, get, has, remove, takes } from "../api.js";
import { number, spaced } from "../format.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { Empty, Facts, Heading, Id, Loaded, NotAvailable } from "../parts/basic.js";
import { Action } from "../parts/dialog.js";
import { Table } from "../parts/table.js";
import { go, href, place, setQuery } from "../router.js";

export function Erase() {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const userId = place.value.query.get("user") ?? "";
  const look = (/** @type {Event} */ event) => {
    event.preventDefault();
    setQuery({ user: field.current?.value.trim() });
  };
  return html`
    <${Heading} title="Erase a user" />
    ${!can("eraseUser")
      ? html`<${Empty}>Your role may not erase users.<//>`
      : html`
          <form class="filters" onSubmit=${look}>
            <label class="wide">
              Id of the user
              <input key=${userId} ref=${field} type="search" name="user" required maxlength="512" autocomplete="off" spellcheck=${false} value=${userId} />
            </label>
            <button type="submit" class="primary">Show what would be erased</button>
          </form>
          ${userId && html`<${Plan} key=${userId} userId=${userId} />`}
        `}
  `;
}

/**
 * @param {string} userId
 * @param {AbortSignal} abort
 */
async function load(userId, abort) {
  const options = { path: { userId }, signal: abort };
  const [user, plan, deleted] = await Promise.all([
    has("getUser") ? get("/admin/users/{userId}", options) : undefined,
    has("getPlan") ? get("/admin/users/{userId}/plan", options) : undefined,
    get("/admin/deleted", { query: { userId, limit: "1" }, signal: abort }),
  ]);
  return { user, plan, isDeleted: deleted.items.length > 0 };
}

/** @param {{ userId: string }} props */
function Plan({ userId }) {
  const live = useLive(userId, (abort) => load(userId, abort));
  return html`<${Loaded} live=${live}>
    ${(/** @type {Awaited<ReturnType<typeof load>>} */ { user, plan, isDeleted }) => html`
      <section aria-labelledby="user">
        <h2 id="user">The user</h2>
        <${Facts}
          rows=${[
            ["Id", html`<${Id} value=${userId} what="user id" />`],
            ["State", user ? stateOf(user) : isDeleted ? "something of this user is deleted and waits" : undefined],
            ...counts(user),
          ]}
        />
        ${!user && html`<${NotAvailable} what="Whether the user is known is" />`}
      </section>
      <section aria-labelledby="plan">
        <h2 id="plan">What would be erased, and what stays</h2>
        ${plan ? html`<${PlanTables} plan=${plan} />` : html`<${NotAvailable} what="The plan is" />`}
      </section>
      <p>
        <${EraseButton} userId=${userId} user=${user} />
        ${" "}<a href=${href(["erasures", userId])}>Receipt and tasks of this user</a>
      </p>
    `}
  <//>`;
}

/** What each state of a user means. */
const STATES = {
  unknown: "unknown: no row has this id, and its erasure was never asked for",
  live: "live",
  deleted: "deleted, and not yet erased",
  erased: "erased",
};

/** @param {any} user */
function stateOf(user) {
  return STATES[/** @type {keyof typeof STATES} */ (user.status)] ?? user.status;
}

/**
 * @param {any} user
 * @returns {[string, any][]}
 */
function counts(user) {
  return Object.entries(user?.counts ?? {}).map(([type, amount]) => [spaced(type), number(/** @type {number} */ (amount))]);
}

/** @param {{ plan: any }} props */
function PlanTables({ plan }) {
  const lists = Object.entries(plan).filter(([, value]) => Array.isArray(value));
  const facts = Object.entries(plan).filter(([, value]) => typeof value !== "object");
  return html`
    <${Facts} rows=${facts.map(([name, value]) => [name, String(value)])} />
    ${lists.map(
      ([name, rows]) => html`<h3 key=${name}>${name}</h3>
        <${Table}
          label=${name}
          rows=${rows}
          rowKey=${(/** @type {any} */ row) => JSON.stringify(row)}
          empty="None."
          columns=${columnsOf(/** @type {any[]} */ (rows))}
        />`,
    )}
  `;
}

/** @param {any[]} rows */
function columnsOf(rows) {
  return Object.keys(rows[0] ?? {}).map((name) => ({
    name,
    show: (/** @type {any} */ row) =>
      typeof row[name] === "number" ? number(row[name]) : typeof row[name] === "object" ? JSON.stringify(row[name]) : String(row[name] ?? "–"),
  }));
}

/** @param {{ userId: string, user: any }} props */
function EraseButton({ userId, user }) {
  const query = takes("eraseUser", "reason");
  return html`<${Action}
    label="Erase this user"
    title="Erase this user for good?"
    danger
    typed=${userId}
    asksReason=${query}
    done="The erasure is accepted."
    act=${async (/** @type {string} */ reason) => {
      await remove("/admin/users/{userId}", { path: { userId }, query: query ? { reason } : {} });
      go(href(["erasures", userId]));
    }}
  >
    <p>Every row and every object of <code>${userId}</code> will be deleted. Nobody can bring them back.</p>
    ${user?.known === false && html`<p>No row has this id. A tombstone will keep such a user from coming back.</p>`}
  <//>`;
}
