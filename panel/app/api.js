// @ts-check
/** The public API of Lethe, and nothing else: whatever the panel does, any client can do. */
import { signal } from "../vendor/signals.js";
import { signOut, token } from "./session.js";

/** @typedef {import("../types/calls").Options} Options */

/** A call was refused, or did not reach the server. */
export class CallError extends Error {
  /**
   * @param {number} status 0 if there was no answer
   * @param {Partial<import("../types/calls").Problem>} problem
   * @param {number} [retryAfter] seconds
   */
  constructor(status, problem, retryAfter) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
    this.title = problem.title ?? "Error";
    this.requestId = problem.requestId;
    this.fields = problem.errors ?? [];
    this.retryAfter = retryAfter;
  }
}

/**
 * @template {import("../types/calls").PathOf<"get">} P
 * @param {P} path
 * @param {Options} [options]
 * @returns {Promise<import("../types/calls").Answer<P, "get">>}
 */
export function get(path, options) {
  return send("GET", path, options);
}

/**
 * @template {import("../types/calls").PathOf<"post">} P
 * @param {P} path
 * @param {Options} [options]
 * @returns {Promise<import("../types/calls").Answer<P, "post">>}
 */
export function post(path, options) {
  return send("POST", path, options);
}

/**
 * @template {import("../types/calls").PathOf<"delete">} P
 * @param {P} path
 * @param {Options} [options]
 * @returns {Promise<import("../types/calls").Answer<P, "delete">>}
 */
export function remove(path, options) {
  return send("DELETE", path, options);
}

/**
 * @param {string} method
 * @param {string} path with the names of its parameters in braces
 * @param {Options} [options]
 * @returns {Promise<any>}
 */
async function send(method, path, { path: parameters = {}, query = {}, body, signal: abort } = {}) {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(parameters[name]));
  const url = new URL(filled, location.origin);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  const used = token.peek();
  /** @type {Record<string, string>} */
  const headers = { accept: "application/json" };
  if (used) headers.authorization = `Bearer ${used}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  /** @type {Response} */
  let response;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: abort,
    });
  } catch (error) {
    if (abort?.aborted) throw error;
    throw new CallError(0, { title: "No answer", detail: "The server cannot be reached." });
  }
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : undefined;
  const retryAfter = Number(response.headers.get("retry-after")) || undefined;
  const error = new CallError(response.status, parse(text), retryAfter);
  // Another token may have been given meanwhile.
  if (response.status === 401 && used && token.peek() === used) signOut(error.message);
  throw error;
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/**
 * @typedef {object} Operation
 * @property {string} [role] the role that may call it
 * @property {Set<string>} parameters
 * @property {Map<string, string[] | undefined>} fields of the body, with their words where only some are allowed
 * @property {Map<string, string[]>} words that a parameter allows
 */

/** The operations of this server, by their ids. Undefined until the specification is read. */
export const operations = signal(/** @type {Map<string, Operation> | undefined} */ (undefined));
export const version = signal("");

/** @typedef {{ name: string, role?: string }} Me */
export const me = signal(/** @type {Me | undefined} */ (undefined));

const RANKS = ["viewer", "operator", "admin"];

/**
 * Whether this server has the operation.
 * @param {string} id
 */
export function has(id) {
  return operations.value?.has(id) ?? false;
}

/**
 * Whether this server has the operation and the token's role may call it. The API decides; this only hides what it
 * would refuse.
 * @param {string} id
 */
export function can(id) {
  const operation = operations.value?.get(id);
  if (!operation) return false;
  const rank = RANKS.indexOf(me.value?.role ?? "admin");
  return rank >= RANKS.indexOf(operation.role ?? "viewer");
}

/**
 * Whether the operation has a parameter or a field of the body with this name.
 * @param {string} id
 * @param {string} name
 */
export function takes(id, name) {
  const operation = operations.value?.get(id);
  return operation !== undefined && (operation.parameters.has(name) || operation.fields.has(name));
}

/**
 * The words that a parameter allows.
 * @param {string} id
 * @param {string} name
 * @returns {string[]}
 */
export function words(id, name) {
  return operations.value?.get(id)?.words.get(name) ?? [];
}

/** Reads who we are and what this server can do. */
export async function begin() {
  const [specification, caller] = await Promise.all([
    send("GET", "/openapi.json"),
    get("/admin/me"),
  ]);
  operations.value = operationsOf(specification);
  version.value = specification.info.version;
  me.value = caller;
}

/**
 * @param {any} specification
 * @returns {Map<string, Operation>}
 */
function operationsOf(specification) {
  /** @param {any} schema @returns {any} */
  const resolve = (schema) => {
    const reference = schema?.$ref ?? schema?.allOf?.[0]?.$ref;
    return reference ? specification.components.schemas[reference.split("/").pop()] : schema;
  };
  const found = new Map();
  for (const methods of Object.values(specification.paths)) {
    for (const operation of Object.values(/** @type {Record<string, any>} */ (methods))) {
      if (!operation?.operationId) continue;
      const parameters = operation.parameters ?? [];
      const content = Object.values(operation.requestBody?.content ?? {})[0];
      const body = resolve(/** @type {any} */ (content)?.schema) ?? {};
      found.set(operation.operationId, {
        role: operation["x-required-role"],
        parameters: new Set(parameters.map((/** @type {any} */ one) => one.name)),
        fields: new Map(Object.keys(body.properties ?? {}).map((name) => [name, undefined])),
        words: new Map(parameters.map((/** @type {any} */ one) => [one.name, resolve(one.schema)?.enum ?? []])),
      });
    }
  }
  return found;
}
