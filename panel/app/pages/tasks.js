// @ts-check
import { useSignal } from "../../vendor/signals.js";
import { can, get, post, takes, words } from "../api.js";
import { count, number } from "../format.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { Heading, Id, Loaded, Status, Time } from "../parts/basic.js";
import { Action } from "../parts/dialog.js";
import { Filters, values } from "../parts/filters.js";
import { Pager, Table } from "../parts/table.js";
import { go, href, place, setQuery } from "../router.js";

const STATES = /** @type {const} */ (["pending", "running", "failed", "dead", "completed", "cancelled"]);
/** What a retry in bulk takes. */
const RETRYABLE = ["failed", "dead"];
/** The most tasks of one page of a list. */
const MAX_PAGE = 200;
const ESTIMATED_ABOVE = 1_000_000;

/** @returns {import("../parts/filters.js").Filter[]} */
function filters() {
  /** @type {import("../parts/filters.js").Filter[]} */
  const all = [
    { name: "kind", label: "Kind", kind: "choice", words: words("listTasks", "kind") },
    { name: "entityType", label: "Of a", kind: "choice", words: words("listTasks", "entityType") },
    { name: "errorClass", label: "Error", kind: "choice", words: words("listTasks", "errorClass") },
    { name: "userId", label: "User", kind: "text" },
    { name: "entityId", label: "Entity", kind: "text" },
    { name: "parentId", label: "Part of task", kind: "text" },
  ];
  // The types of a map of one's own are no words of the specification.
  return all
    .filter(({ name }) => takes("listTasks", name))
    .map((filter) => (filter.kind === "choice" && filter.words?.length === 0 ? { ...filter, kind: "text" } : filter));
}

/** @type {import("../parts/table.js").Column<any>[]} */
export const taskColumns = [
  { name: "Task", show: (task) => html`<${Id} value=${task.id} href=${href(["tasks", task.id])} what="task id" />` },
  { name: "Kind", show: (task) => task.kind },
  { name: "Status", show: (task) => html`<${Status} value=${task.status} held=${task.heldReason} />` },
  { name: "Entity", show: (task) => html`<${Id} value=${task.entityId} what=${`${task.entityType} id`} />` },
  { name: "Attempts", className: "right", show: (task) => number(task.attempts) },
  { name: "Left", className: "right", show: (task) => (task.objectKeys.length > 0 ? count(task.objectKeys.length, "object") : "–") },
  { name: "Error", show: (task) => (task.errorClass ? html`<span class="error" title=${task.lastError}>${task.errorClass}</span>` : "–") },
  { name: "Next try, or end", show: (task) => html`<${WhenNext} task=${task} />` },
];

/** @param {{ task: any }} props */
export function WhenNext({ task }) {
  if (task.finishedAt) return html`ended <${Time} at=${task.finishedAt} relative />`;
  if (task.status === "dead") return "waits for a person";
  if (task.heldReason) return "held";
  if (task.status === "running") return "now";
  return html`<${Time} at=${task.scheduledAt} relative />`;
}

const withUser = [
  ...taskColumns.slice(0, 4),
  {
    name: "User",
    show: (/** @type {any} */ task) => html`<${Id} value=${task.userId} href=${href(["erasures", task.userId])} what="user id" />`,
  },
  ...taskColumns.slice(4),
];

export function Tasks() {
  const fields = filters();
  const given = values(fields);
  const status = place.value.query.get("status") ?? undefined;
  const query = { ...given, status, cursor: place.value.query.get("cursor") ?? undefined };
  const selection = useSignal(/** @type {Set<string>} */ (new Set()));
  const live = useLive(`tasks ${JSON.stringify(query)}`, async (abort) => {
    const [page, stats] = await Promise.all([
      get("/admin/cleanup-tasks", { query, signal: abort }),
      get("/admin/stats", { signal: abort }),
    ]);
    return { page, stats };
  });
  const filtered = Object.values(given).some((value) => value !== undefined);
  const mayRetry = can("retryTasks");
  const shown = new Set(live.data?.page.items.filter(retryable).map((/** @type {any} */ task) => task.id));
  const selected = [...selection.value].filter((id) => shown.has(id));
  return html`
    <${Heading} title="Tasks">
      ${mayRetry && selected.length > 0 && html`<${RetrySelected} ids=${selected} onDone=${() => (selection.value = new Set())} />`}
      ${mayRetry && (status === undefined || RETRYABLE.includes(status)) && html`<${RetryMatching} filter=${{ ...given, status }} />`}
    <//>
    <${Tabs} status=${status} stats=${live.data?.stats} />
    <${Search} />
    <${Filters} filters=${fields} label="Filter the tasks" />
    <${Loaded} live=${live}>
      ${(/** @type {any} */ { page }) => html`
        <${Table}
          label="Tasks"
          rows=${page.items}
          rowKey=${(/** @type {any} */ task) => task.id}
          rowHref=${(/** @type {any} */ task) => href(["tasks", task.id])}
          empty=${whyEmpty(status, filtered)}
          columns=${withUser}
          selection=${mayRetry ? selection : undefined}
          selectable=${retryable}
        />
        <${Pager} next=${page.nextCursor} />
      `}
    <//>
  `;
}

/** @param {any} task */
function retryable(task) {
  return RETRYABLE.includes(task.status);
}

/**
 * @param {string | undefined} status
 * @param {boolean} filtered
 */
function whyEmpty(status, filtered) {
  if (filtered) return "No task matches these filters.";
  if (status === "dead") return "No task waits for a person.";
  if (status === "failed") return "No task failed and waits for its next try.";
  if (status) return `No task is ${status}.`;
  return "There are no tasks: nothing was deleted yet.";
}

/** @param {{ status?: string, stats?: any }} props */
function Tabs({ status, stats }) {
  const all = stats ? STATES.reduce((sum, state) => sum + stats.tasks[state], 0) : 0;
  const tab = (/** @type {string | undefined} */ value, /** @type {string} */ name, /** @type {number | undefined} */ amount) => {
    const about = all > ESTIMATED_ABOVE && value !== "failed" && value !== "dead" ? "about " : "";
    return html`<button key=${name} type="button" aria-pressed=${status === value} onClick=${() => setQuery({ status: value })}>
      ${name}${amount === undefined ? "" : ` ${about}${number(amount)}`}
    </button>`;
  };
  return html`<div class="tabs" role="group" aria-label="Status of the tasks">
    ${tab(undefined, "all", undefined)} ${STATES.map((state) => tab(state, state, stats?.tasks[state]))}
  </div>`;
}

/**
 * Whether this is a user's id. Which ids users have is for the erasure map to say, so the server is asked.
 * @param {string} text
 */
async function isUser(text) {
  if (text.startsWith("user_")) return true;
  const { items } = await get("/admin/cleanup-tasks", { query: { userId: text, limit: "1" } });
  return items.length > 0;
}

/** Finds a task by its number, and else the tasks of a user or of anything else with this id. */
function Search() {
  const typed = useSignal("");
  const search = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const text = typed.value.trim();
    if (!text) return;
    typed.value = "";
    if (/^\d+$/.test(text)) go(href(["tasks", text]));
    else if (await isUser(text).catch(() => false)) setQuery({ userId: text, entityId: undefined });
    else setQuery({ entityId: text, userId: undefined });
  };
  return html`<form class="filters" role="search" aria-label="Find tasks" onSubmit=${search}>
    <label class="wide">
      Find by task, user or entity
      <input
        type="search"
        name="find"
        autocomplete="off"
        spellcheck=${false}
        value=${typed.value}
        onInput=${(/** @type {any} */ event) => (typed.value = event.currentTarget.value)}
      />
    </label>
    <button type="submit">Find</button>
  </form>`;
}

/** @param {{ ids: string[], onDone: () => void }} props */
function RetrySelected({ ids, onDone }) {
  return html`<${Action}
    label=${`Retry ${count(ids.length, "selected task")}`}
    title=${`Retry ${count(ids.length, "task")}?`}
    done=""
    act=${async (/** @type {string} */ reason) => {
      for (const taskId of ids) {
        await post("/admin/cleanup-tasks/{taskId}/retry", { path: { taskId }, body: { reason } });
      }
      onDone();
      return `${count(ids.length, "task is", "tasks are")} tried again.`;
    }}
  >
    <p>${ids.map((id) => html`<code key=${id}>${id}</code>${" "}`)} will be tried again at once.</p>
  <//>`;
}

/**
 * How many tasks a retry in bulk would take.
 * @param {Record<string, string | undefined>} filter
 * @returns {Promise<string>}
 */
async function preview(filter) {
  if (takes("retryTasks", "dryRun")) {
    const body = { ...filter, reason: "Preview", dryRun: true };
    const answer = await post("/admin/cleanup-tasks/retry", { body });
    return count(answer.retried, "task");
  }
  const states = filter.status ? [filter.status] : RETRYABLE;
  const pages = await Promise.all(
    states.map((status) => get("/admin/cleanup-tasks", { query: { ...filter, status, limit: String(MAX_PAGE) } })),
  );
  const found = pages.reduce((sum, page) => sum + page.items.length, 0);
  return pages.some((page) => page.nextCursor) ? `${number(found)} tasks or more` : count(found, "task");
}

/** @param {{ filter: Record<string, string | undefined> }} props */
function RetryMatching({ filter }) {
  const given = Object.entries(filter).filter(([name, value]) => value !== undefined && takes("retryTasks", name));
  const ignored = Object.entries(filter).some(([name, value]) => value !== undefined && !takes("retryTasks", name));
  // A filter that the call does not know would be left out, and more would be retried than is shown.
  if (ignored) return null;
  const body = Object.fromEntries(given);
  return html`<${Action}
    label="Retry all that match"
    title="Retry all tasks that match?"
    done=""
    act=${async (/** @type {string} */ reason) => {
      const { retried } = await post("/admin/cleanup-tasks/retry", { body: { ...body, reason } });
      return `${count(retried, "task is", "tasks are")} tried again.`;
    }}
  >
    <${Preview} filter=${body} />
  <//>`;
}

/** @param {{ filter: Record<string, string> }} props */
function Preview({ filter }) {
  const live = useLive("preview", () => preview(filter));
  const text = Object.entries(filter).map(([name, value]) => `${name} ${value}`).join(", ");
  return html`
    <${Loaded} live=${live}>${(/** @type {string} */ found) => html`<p><strong>${found}</strong> will be tried again at once.</p>`}<//>
    <p>${text ? `Filter: ${text}.` : "There is no filter: all that failed or are dead."}</p>
  `;
}
