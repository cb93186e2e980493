// @ts-check
import { can, CallError, get, post } from "../api.js";
import { count, number } from "../format.js";
import { html } from "../html.js";
import { useLive } from "../live.js";
import { Empty, Facts, Heading, Id, Loaded, Status, Time } from "../parts/basic.js";
import { Action } from "../parts/dialog.js";
import { href } from "../router.js";
import { WhenNext } from "./tasks.js";

/** @param {{ taskId: string }} props */
export function Task({ taskId }) {
  const live = useLive(taskId, (abort) =>
    get("/admin/cleanup-tasks/{taskId}", { path: { taskId }, signal: abort }).catch((error) => {
      if (error instanceof CallError && error.status === 404) return null;
      throw error;
    }),
  );
  const task = live.data;
  return html`
    <${Heading} title="One task">
      ${task && ["failed", "dead"].includes(task.status) && can("retryTask") && html`<${Retry} task=${task} />`}
    <//>
    <${Loaded} live=${live}>
      ${(/** @type {any} */ task) =>
        task === null
          ? html`<${Empty}>There is no task ${taskId}. Finished ones are removed after a while (CLEANUP_RETENTION_DAYS).<//>`
          : html`<${About} task=${task} /><${Remaining} task=${task} /><${History} history=${task.history} />`}
    <//>
  `;
}

/** @param {{ task: any }} props */
function Retry({ task }) {
  return html`<${Action}
    label="Retry"
    title="Retry this task?"
    done="The task is tried again."
    act=${async (/** @type {string} */ reason) => {
      await post("/admin/cleanup-tasks/{taskId}/retry", { path: { taskId: task.id }, body: { reason } });
    }}
  >
    <p>1 task will be tried again at once, with ${count(task.objectKeys.length, "remaining object")}.</p>
  <//>`;
}

/** @param {{ task: any }} props */
function About({ task }) {
  return html`<section aria-label="The task">
    <${Facts}
      rows=${[
        ["Task", html`<${Id} value=${task.id} what="task id" />`],
        ["Status", html`<${Status} value=${task.status} held=${task.heldReason} />`],
        ["Held", task.heldReason],
        ["Kind", task.kind],
        ["Of", html`${task.entityType} <${Id} value=${task.entityId} what=${`${task.entityType} id`} />`],
        ["User", html`<${Id} value=${task.userId} href=${href(["erasures", task.userId])} what="user id" />`],
        ["Part of", task.parentId && html`<${Id} value=${task.parentId} href=${href(["tasks", task.parentId])} what="task id" />`],
        ["Attempts", number(task.attempts)],
        ["Next try", !task.finishedAt && html`<${WhenNext} task=${task} /> (<${Time} at=${task.scheduledAt} />)`],
        ["Claimed by", task.leaseOwner && html`<${Id} value=${task.leaseOwner} what="worker id" />, lease until <${Time} at=${task.leaseExpiresAt} relative />`],
        ["Last error", task.lastError && html`<strong>${task.errorClass}</strong>: <span class="error">${task.lastError}</span>`],
        ["Created", html`<${Time} at=${task.createdAt} />`],
        ["Ended", task.finishedAt && html`<${Time} at=${task.finishedAt} />`],
      ]}
    />
  </section>`;
}

/** @param {{ task: any }} props */
function Remaining({ task }) {
  return html`<section aria-labelledby="remaining">
    <h2 id="remaining">What remains</h2>
    ${task.rowIds?.length > 0 && html`<p>${count(task.rowIds.length, `row of ${task.rowType}`, `rows of ${task.rowType}`)}</p>`}
    ${task.objectKeys.length === 0
      ? html`<${Empty}>No object remains to be deleted.<//>`
      : html`<details open=${task.objectKeys.length <= 20}>
          <summary>${count(task.objectKeys.length, "object")}</summary>
          <ul class="keys-list">
            ${task.objectKeys.map((/** @type {string} */ key) => html`<li key=${key}><${Id} value=${key} what="object key" /></li>`)}
          </ul>
        </details>`}
  </section>`;
}

/** @param {{ history: any[] }} props */
function History({ history }) {
  return html`<section aria-labelledby="history">
    <h2 id="history">Timeline, oldest first</h2>
    ${history.length === 0 && html`<${Empty}>Nothing was recorded of this task.<//>`}
    <ol class="timeline">
      ${[...history].reverse().map(
        (entry) => html`<li key=${entry.id} class=${entry.errorClass ? "bad" : ""}>
          <strong>${entry.event}</strong> <${Time} at=${entry.at} />
          ${entry.attempt !== undefined && html`<span> attempt ${entry.attempt}</span>`}
          ${entry.actor && html`<span> by <span class="code">${entry.actor}</span></span>`}
          ${entry.worker && html`<span> by the worker <span class="code">${entry.worker}</span></span>`}
          ${entry.errorClass && html`<span> <strong class="error">${entry.errorClass}</strong></span>`}
          ${entry.detail && html`<p class="error">${entry.detail}</p>`}
          ${entry.objectKeys.length > 0 && html`<p>${count(entry.objectKeys.length, "object")} deleted</p>`}
          ${entry.keptKeys.length > 0 && html`<p>${count(entry.keptKeys.length, "object")} kept</p>`}
        </li>`,
      )}
    </ol>
  </section>`;
}
