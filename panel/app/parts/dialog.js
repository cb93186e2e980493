// @ts-check
/** Questions before something is done. */
import { useEffect, useRef } from "../../vendor/hooks.js";
import { signal, useSignal } from "../../vendor/signals.js";
import { CallError } from "../api.js";
import { html } from "../html.js";
import { refresh } from "../live.js";
import { ProblemBox } from "./basic.js";

/** What was done, said once. */
export const said = signal("");

/** @param {string} text */
export function say(text) {
  said.value = text;
}

export function Said() {
  return html`<div class="said" role="status">
    ${said.value &&
    html`<span>${said.value}</span>
      <button type="button" onClick=${() => (said.value = "")}>Dismiss</button>`}
  </div>`;
}

/** @param {{ title: string, onClose: () => void, children: any }} props */
export function Dialog({ title, onClose, children }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return html`<dialog ref=${element} aria-label=${title} onClose=${onClose}>
    <h2>${title}</h2>
    ${children}
  </dialog>`;
}

/**
 * A button that asks before it acts: for a reason, and for a text to be typed again where the act cannot be undone.
 * @param {object} props
 * @param {string} props.label of the button
 * @param {string} props.title of the question
 * @param {any} props.children what will happen
 * @param {string} props.done what is said afterwards
 * @param {(reason: string) => Promise<string | void>} props.act may answer what is said instead
 * @param {boolean} [props.asksReason]
 * @param {string} [props.typed] what has to be typed again
 * @param {boolean} [props.danger]
 * @param {boolean} [props.disabled]
 */
export function Action({ label, title, children, done, act, asksReason = true, typed, danger, disabled }) {
  const open = useSignal(false);
  return html`
    <button type="button" class=${danger ? "danger" : ""} disabled=${disabled} onClick=${() => (open.value = true)}>
      ${label}
    </button>
    ${open.value &&
    html`<${Question}
      ...${{ label, title, done, act, asksReason, typed, danger }}
      onClose=${() => (open.value = false)}
    >
      ${children}
    <//>`}
  `;
}

/** @param {any} props those of Action, and onClose */
function Question({ label, title, children, done, act, asksReason, typed, danger, onClose }) {
  const reason = useSignal("");
  const again = useSignal("");
  const busy = useSignal(false);
  const problem = useSignal(/** @type {CallError | undefined} */ (undefined));
  const ready = (!asksReason || reason.value.trim() !== "") && (!typed || again.value === typed) && !busy.value;
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!ready) return;
    busy.value = true;
    problem.value = undefined;
    try {
      const result = await act(reason.value.trim());
      say(result ?? done);
      onClose();
      refresh();
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      problem.value = error;
    } finally {
      busy.value = false;
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form onSubmit=${submit}>
      <div class="explains">${children}</div>
      ${asksReason &&
      html`<label>
        Reason, for the audit trail
        <input
          name="reason"
          required
          maxlength="500"
          autocomplete="off"
          value=${reason.value}
          onInput=${(/** @type {any} */ event) => (reason.value = event.currentTarget.value)}
        />
      </label>`}
      ${typed &&
      html`<label>
        <span>Type <code>${typed}</code> to confirm</span>
        <input
          name="typed"
          required
          autocomplete="off"
          spellcheck=${false}
          value=${again.value}
          onInput=${(/** @type {any} */ event) => (again.value = event.currentTarget.value)}
        />
      </label>`}
      <${ProblemBox} problem=${problem.value} />
      <div class="buttons">
        <button type="button" onClick=${onClose}>Cancel</button>
        <button type="submit" class=${danger ? "danger" : "primary"} disabled=${!ready}>${label}</button>
      </div>
    </form>
  <//>`;
}
