// @ts-check
import { useRef } from "../../vendor/hooks.js";
import { useSignal } from "../../vendor/signals.js";
import { can, get, has, remove, takes } from "../api.js";
import { count, number, spaced } from "../format.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { Empty, Facts, Heading, Id, Loaded, NotAvailable, Time } from "../parts/basic.js";
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
          ${userId && html`<${Subject} key=${userId} userId=${userId} />`}
        `}
  `;
}

/** @typedef {import("../../types/calls").Answer<"/admin/users/{userId}", "get">} User */
/** @typedef {import("../../types/calls").Answer<"/admin/users/{userId}/plan", "get">} PlanOfUser */
/** @typedef {PlanOfUser["rows"][number]} PlannedRows */
/** @typedef {PlanOfUser["kept"][number]} KeptRows */

/**
 * @param {string} userId
 * @param {AbortSignal} abort
 */
async function loadUser(userId, abort) {
  const [user, deleted] = await Promise.all([
    has("getUser") ? get("/admin/users/{userId}", { path: { userId }, signal: abort }) : undefined,
    get("/admin/deleted", { query: { userId, limit: "1" }, signal: abort }),
  ]);
  return { user, isDeleted: deleted.items.length > 0 };
}

/**
 * @param {string} userId
 * @param {AbortSignal} abort
 */
async function loadPlan(userId, abort) {
  const plan = await get("/admin/users/{userId}/plan", { path: { userId }, signal: abort });
  return { plan, at: new Date().toISOString() };
}

/** @param {{ userId: string }} props */
function Subject({ userId }) {
  const live = useLive(userId, (abort) => loadUser(userId, abort));
  // A plan counts every row of the user, so it is not made again and again.
  const planned = useLive(userId, (abort) => loadPlan(userId, abort), false);
  const unseen = useSignal(false);
  const user = live.data?.user;
  // An id that the server refuses cannot be erased either.
  const failed = planned.data === undefined && planned.problem !== undefined && planned.problem.status !== 400;
  return html`
    <${Loaded} live=${live}>
      ${(/** @type {Awaited<ReturnType<typeof loadUser>>} */ { user, isDeleted }) => html`
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
      `}
    <//>
    <section aria-labelledby="plan">
      <h2 id="plan">What would be erased, and what stays</h2>
      <${Loaded} live=${planned}>
        ${(/** @type {Awaited<ReturnType<typeof loadPlan>>} */ { plan, at }) => html`
          <${Plan} plan=${plan} />
          <p>
            Counted at <${Time} at=${at} />. What is added until the erasure goes too.${" "}
            <button type="button" onClick=${planned.reload}>Count again</button>
          </p>
        `}
      <//>
      ${failed && html`<${WithoutPlan} chosen=${unseen} />`}
    </section>
    <p>
      <${EraseButton} userId=${userId} user=${user} plan=${planned.data?.plan} disabled=${!planned.data && !(failed && unseen.value)} />
      ${" "}<a href=${href(["erasures", userId])}>Receipt and tasks of this user</a>
    </p>
  `;
}

/**
 * What an admin has to say before an erasure that nobody has seen the plan of.
 * @param {{ chosen: import("../../vendor/signals.js").Signal<boolean> }} props
 */
function WithoutPlan({ chosen }) {
  return html`
    <p>
      Without a plan nobody has seen what goes, what stays, and whether the id is the right one. Mend the cause and try
      again.
    </p>
    <label class="tick">
      <input
        type="checkbox"
        checked=${chosen.value}
        onChange=${(/** @type {any} */ event) => (chosen.value = event.currentTarget.checked)}
      />
      I have not seen what would be erased, and want to erase this user all the same
    </label>
  `;
}

/** What each state of a user means. */
const STATES = {
  unknown: "unknown: no row has this id, and its erasure was never asked for",
  live: "live",
  deleted: "deleted, and not yet erased",
  erased: "erased",
};

/** @param {User} user */
function stateOf(user) {
  return STATES[user.status] ?? user.status;
}

/**
 * @param {User | undefined} user
 * @returns {[string, any][]}
 */
function counts(user) {
  return Object.entries(user?.counts ?? {}).map(([type, amount]) => [spaced(type), number(/** @type {number} */ (amount))]);
}

/** What each action of a plan does to a row. */
const ACTIONS = {
  delete: "deleted",
  detach: "stays; its reference is cleared",
  keep: "stays; what names the person is cleared or replaced",
};

/** @param {{ plan: PlanOfUser }} props */
function Plan({ plan: { rows, kept, objects } }) {
  if (rows.length === 0) {
    return html`<${Empty}>Nothing in the database belongs to this id. An erasure would only keep such a user from coming back.<//>`;
  }
  return html`
    <${Facts}
      rows=${[
        ["Objects deleted", number(objects.delete)],
        ["Objects shared", objects.shared > 0 ? `${number(objects.shared)}: they stay, because rows that stay name them too` : "none"],
        ["Foreign URLs", objects.foreign > 0 ? `${number(objects.foreign)}: they lead to no bucket of the erasure map, and what they lead to stays` : "none"],
        ["Keys outside", html`<${Outside} keys=${objects.outside} />`],
      ]}
    />
    <h3>Rows</h3>
    <${Table}
      label="Rows of this user"
      rows=${rows}
      rowKey=${(/** @type {PlannedRows} */ row) => `${row.type} ${row.action}`}
      empty="None."
      columns=${[
        { name: "Type", show: (/** @type {PlannedRows} */ row) => row.type },
        {
          name: "What happens",
          show: (/** @type {PlannedRows} */ row) => ACTIONS[/** @type {keyof typeof ACTIONS} */ (row.action)] ?? row.action,
        },
        { name: "Rows", className: "right", show: (/** @type {PlannedRows} */ row) => number(row.rows) },
        { name: "Objects", className: "right", show: (/** @type {PlannedRows} */ row) => number(row.keys) },
      ]}
    />
    <h3>Rows that are kept, and why</h3>
    <${Table}
      label="Kept rows"
      rows=${kept}
      rowKey=${(/** @type {KeptRows} */ row) => `${row.type} ${row.why}`}
      empty="No row is kept."
      columns=${[
        { name: "Type", show: (/** @type {KeptRows} */ row) => row.type },
        { name: "Rows", className: "right", show: (/** @type {KeptRows} */ row) => number(row.rows) },
        { name: "Why", show: (/** @type {KeptRows} */ row) => row.why },
      ]}
    />
  `;
}

/** The most keys that a plan names. */
const MAX_OUTSIDE = 1000;

/** @param {{ keys: string[] }} props */
function Outside({ keys }) {
  if (keys.length === 0) return html`none`;
  const shown = keys.length < MAX_OUTSIDE ? number(keys.length) : `${number(keys.length)} or more`;
  return html`
    ${shown}: the erasure map does not let them be deleted. The erasure will be incomplete until a person corrects the rows.
    <details>
      <summary>The keys</summary>
      <ul class="keys-list">
        ${keys.map((key) => html`<li key=${key}><${Id} value=${key} what="key" /></li>`)}
      </ul>
    </details>
  `;
}

/** @param {PlanOfUser} plan */
function summary({ rows, kept, objects }) {
  const sum = (/** @type {{ rows: number }[]} */ of) => of.reduce((all, { rows }) => all + rows, 0);
  const deleted = sum(rows.filter(({ action }) => action === "delete"));
  const detached = sum(rows.filter(({ action }) => action === "detach"));
  return [
    `${count(deleted, "row")} and ${count(objects.delete, "object")} will be deleted.`,
    kept.length > 0 && `${count(sum(kept), "row")} will be kept without what names the person.`,
    detached > 0 && `${count(detached, "row")} of others will lose a reference.`,
    objects.shared > 0 && `${count(objects.shared, "object")} will stay, because rows that stay name them too.`,
    objects.outside.length > 0 && "Some keys are outside of what the erasure map allows: the erasure will not end by itself.",
  ].filter((line) => line !== false);
}

/** @param {{ userId: string, user?: User, plan?: PlanOfUser, disabled: boolean }} props */
function EraseButton({ userId, user, plan, disabled }) {
  const query = takes("eraseUser", "reason");
  return html`<${Action}
    label="Erase this user"
    title="Erase this user for good?"
    danger
    typed=${userId}
    asksReason=${query}
    disabled=${disabled}
    done="The erasure is accepted."
    act=${async (/** @type {string} */ reason) => {
      await remove("/admin/users/{userId}", { path: { userId }, query: query ? { reason } : {} });
      go(href(["erasures", userId]));
    }}
  >
    <p>Everything of <code>${userId}</code> that the plan deletes will be deleted. Nobody can bring it back.</p>
    ${plan
      ? html`<ul>
          ${summary(plan).map((line) => html`<li key=${line}>${line}</li>`)}
        </ul>`
      : html`<p><strong>You have not seen what will be deleted.</strong></p>`}
    ${user?.known === false && html`<p>No row has this id. A tombstone will keep such a user from coming back.</p>`}
  <//>`;
}
