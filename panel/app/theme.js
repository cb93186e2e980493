// @ts-check
/** Light or dark: as the system says, or as the reader chose. style/theme.js sets it before the page is painted. */
import { signal } from "../vendor/signals.js";

const KEY = "lethe.theme";

/** @type {import("../vendor/signals.js").Signal<string>} */
export const theme = signal(localStorage.getItem(KEY) ?? "system");

/** @param {string} value `system`, `light` or `dark` */
export function setTheme(value) {
  if (value === "system") {
    localStorage.removeItem(KEY);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(KEY, value);
    document.documentElement.dataset.theme = value;
  }
  theme.value = value;
}
