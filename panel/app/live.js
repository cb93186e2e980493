// @ts-check
/** Data that refresh themselves. A page in the background does not ask, and off means off. */
import { useEffect, useRef } from "../vendor/hooks.js";
import { effect, signal, useSignal } from "../vendor/signals.js";
import { CallError } from "./api.js";

/** Seconds between two refreshes; 0 is off. */
export const INTERVALS = [2, 5, 10, 30, 60, 0];
const KEY = "lethe.refresh";

/** @returns {number} */
function stored() {
  const value = Number(localStorage.getItem(KEY) ?? 5);
  return INTERVALS.includes(value) ? value : 5;
}

export const interval = signal(stored());
/** The present time, for ages. It moves with each second of an open page. */
export const now = signal(Date.now());

/** @param {number} seconds */
export function chooseInterval(seconds) {
  localStorage.setItem(KEY, String(seconds));
  interval.value = seconds;
}

const pulled = signal(0);

/** Refreshes everything that the page shows, once. */
export function refresh() {
  pulled.value += 1;
}

setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);

/**
 * @template T
 * @typedef {object} Live
 * @property {T | undefined} data the newest answer
 * @property {CallError | undefined} problem why the last call failed
 * @property {boolean} stale the data belong to another address of the page
 * @property {() => void} reload
 */

/**
 * Loads data, again when `key` changes, and again and again while the page is seen, unless `repeats` is false.
 * @template T
 * @param {string} key
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {boolean} [repeats]
 * @returns {Live<T>}
 */
export function useLive(key, load, repeats = true) {
  const state = useSignal(
    /** @type {{ key?: string, data?: T, problem?: CallError }} */ ({}),
  );
  const latest = useRef(load);
  latest.current = load;
  const run = useRef(() => {});

  useEffect(() => {
    const abort = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    let running = false;
    let last = 0;
    let pause = 0;

    const plan = () => {
      clearTimeout(timer);
      if (!repeats || abort.signal.aborted || running || !interval.peek() || document.hidden) return;
      const due = last + Math.max(interval.peek(), pause) * 1000;
      timer = setTimeout(work, Math.max(0, due - Date.now()));
    };
    const work = async () => {
      if (running || abort.signal.aborted) return;
      running = true;
      clearTimeout(timer);
      try {
        const data = await latest.current(abort.signal);
        pause = 0;
        if (!abort.signal.aborted) state.value = { key, data };
      } catch (error) {
        if (abort.signal.aborted) return;
        if (!(error instanceof CallError)) console.error(error);
        const problem = error instanceof CallError ? error : new CallError(0, { detail: String(error) });
        pause = problem.retryAfter ?? 0;
        state.value = { ...state.peek(), problem };
      } finally {
        running = false;
        last = Date.now();
        plan();
      }
    };
    run.current = work;
    work();
    const seen = pulled.peek();
    const stopPulls = effect(() => {
      if (pulled.value !== seen) work();
    });
    const stopInterval = effect(() => {
      interval.value;
      plan();
    });
    document.addEventListener("visibilitychange", plan);
    return () => {
      abort.abort();
      clearTimeout(timer);
      stopPulls();
      stopInterval();
      document.removeEventListener("visibilitychange", plan);
    };
  }, [key]);

  const { data, problem, key: of } = state.value;
  return { data, problem, stale: data !== undefined && of !== key, reload: () => run.current() };
}
