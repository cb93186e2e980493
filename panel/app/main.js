// @ts-check
/** The panel: which page the address asks for, and whether somebody is signed in. */
import { useEffect } from "../vendor/hooks.js";
import { render } from "../vendor/preact.js";
import { useSignal } from "../vendor/signals.js";
import { begin, CallError, me, operations } from "./api.js";
import { html } from "./html.js";
import { Audit } from "./pages/audit.js";
import { Deleted } from "./pages/deleted.js";
import { Erase } from "./pages/erase.js";
import { Erasure } from "./pages/erasure.js";
import { Erasures } from "./pages/erasures.js";
import { Overview } from "./pages/overview.js";
import { SignIn } from "./pages/sign-in.js";
import { System } from "./pages/system.js";
import { Task } from "./pages/task.js";
import { Tasks } from "./pages/tasks.js";
import { Empty, Heading, ProblemBox } from "./parts/basic.js";
import { Shell } from "./parts/shell.js";
import { href, parts } from "./router.js";
import { signOut, token } from "./session.js";

function Page() {
  const [page, id, ...more] = parts.value;
  if (more.length === 0) {
    if (page === undefined) return html`<${Overview} />`;
    if (page === "erasures" && id !== undefined) return html`<${Erasure} key=${id} userId=${id} />`;
    if (page === "tasks" && id !== undefined) return html`<${Task} key=${id} taskId=${id} />`;
    if (id === undefined) {
      if (page === "erasures") return html`<${Erasures} />`;
      if (page === "erase") return html`<${Erase} />`;
      if (page === "deleted") return html`<${Deleted} />`;
      if (page === "tasks") return html`<${Tasks} />`;
      if (page === "audit") return html`<${Audit} />`;
      if (page === "system") return html`<${System} />`;
    }
  }
  return html`
    <${Heading} title="No such page" />
    <${Empty}>Nothing is at this address. <a href=${href([])}>Go to the overview</a>.<//>
  `;
}

function Panel() {
  if (!token.value) return html`<${SignIn} />`;
  return html`<${SignedIn} key=${token.value} />`;
}

function SignedIn() {
  const problem = useSignal(/** @type {CallError | undefined} */ (undefined));
  const tries = useSignal(0);
  useEffect(() => {
    me.value = undefined;
    begin().catch((error) => {
      if (!(error instanceof CallError)) throw error;
      problem.value = error;
    });
  }, [tries.value]);
  if (me.value && operations.value) return html`<${Shell}><${Page} /><//>`;
  const again = () => {
    problem.value = undefined;
    tries.value += 1;
  };
  return html`<main class="sign-in">
    <h1>Lethe</h1>
    ${problem.value
      ? html`<${ProblemBox} problem=${problem.value} retry=${again} />
          <button type="button" onClick=${() => signOut()}>Sign out</button>`
      : html`<p class="loading" role="status">Signing in …</p>`}
  </main>`;
}

render(html`<${Panel} />`, document.body);
