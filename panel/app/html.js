// @ts-check
/** Templates: htm makes preact's nodes from tagged templates, so that there is nothing to compile. */
import htm from "../vendor/htm.js";
import { h } from "../vendor/preact.js";

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(h);
