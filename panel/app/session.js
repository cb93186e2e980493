// @ts-check
/**
 * Who is signed in. The token is kept in the tab's sessionStorage: never in a cookie, never in the address. A link
 * that signs in, as `lethe dev` prints it, carries the token in the fragment, which no server sees; it is removed from
 * the address before anything else happens.
 */
import { signal } from "../vendor/signals.js";

const KEY = "lethe.token";

/** @type {import("../vendor/signals.js").Signal<string | undefined>} */
export const token = signal(sessionStorage.getItem(KEY) ?? undefined);
/** Why the sign-in page is shown again. */
export const signedOutBecause = signal("");

/** @param {string} value */
export function signIn(value) {
  sessionStorage.setItem(KEY, value);
  signedOutBecause.value = "";
  token.value = value;
}

/** @param {string} [reason] */
export function signOut(reason = "") {
  sessionStorage.removeItem(KEY);
  signedOutBecause.value = reason;
  token.value = undefined;
}

function takeFromAddress() {
  const match = /^#token=(.+)$/.exec(location.hash);
  if (!match) return;
  history.replaceState(null, "", location.pathname + location.search);
  signIn(decodeURIComponent(match[1]));
}

takeFromAddress();
addEventListener("hashchange", takeFromAddress);
