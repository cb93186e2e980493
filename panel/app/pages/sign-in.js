// @ts-check
import { useSignal } from "../../vendor/signals.js";
import { html } from "../html.js";
import { signedOutBecause, signIn } from "../session.js";

export function SignIn() {
  const typed = useSignal("");
  document.title = "Sign in – Lethe";
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (typed.value.trim()) signIn(typed.value.trim());
  };
  return html`<main class="sign-in">
    <h1 tabindex="-1">Lethe</h1>
    <p>Sees that people are gone, and says why not yet.</p>
    ${signedOutBecause.value && html`<p class="problem" role="alert">${signedOutBecause.value}</p>`}
    <form onSubmit=${submit}>
      <label>
        Admin token
        <input
          type="password"
          name="token"
          required
          autofocus
          autocomplete="off"
          spellcheck=${false}
          value=${typed.value}
          onInput=${(/** @type {any} */ event) => (typed.value = event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="primary">Sign in</button>
    </form>
    <details>
      <summary>Where do I get a token?</summary>
      <p>
        Whoever runs Lethe writes the tokens into the variable <code>ADMIN_API_TOKENS</code>, as
        <code> name:token</code>, or <code>name@role:token</code> with the role <code>viewer</code>,
        <code> operator</code> or <code>admin</code>. A token has at least 20 characters.
      </p>
      <p><code>lethe dev</code> prints a token, and a link that signs in.</p>
      <p>The token is kept in this tab only, until you sign out or close it.</p>
    </details>
  </main>`;
}
