// @ts-check
/** How numbers and times are written. */

const grouped = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const local = new Intl.DateTimeFormat(undefined, {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayAndClock = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  hour: "2-digit",
  minute: "2-digit",
});

/** @param {number | string | bigint} value */
export function number(value) {
  return grouped.format(typeof value === "string" ? BigInt(value) : value);
}

/** @param {number} value */
export function short(value) {
  return compact.format(value);
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function count(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/** @param {string} at */
export function localTime(at) {
  return local.format(new Date(at));
}

/** @param {string} at */
export function utcTime(at) {
  return `${new Date(at).toISOString().replace("T", " ").replace(/\.\d+Z$/, "")} UTC`;
}

/**
 * @param {string} at
 * @param {boolean} withDay
 */
export function clockTime(at, withDay) {
  return (withDay ? dayAndClock : clock).format(new Date(at));
}

/** The largest unit first. */
const UNITS = /** @type {const} */ ([
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
]);

/**
 * How long ago, or in how long.
 * @param {string} at
 * @param {number} now
 */
export function fromNow(at, now) {
  const seconds = (Date.parse(at) - now) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return relative.format(Math.trunc(seconds / length), unit);
}

/**
 * How long something has lasted, in its largest unit. It does not count seconds, because it is read aloud when it changes.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 60) return "less than a minute";
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? ["minute", 60];
  return count(Math.floor(seconds / length), unit);
}

/**
 * The value of an `<input type="datetime-local">` for a time, and back.
 * @param {string | undefined} at
 */
export function toLocalInput(at) {
  if (!at || Number.isNaN(Date.parse(at))) return "";
  const time = new Date(at);
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** @param {string} value */
export function fromLocalInput(value) {
  const time = new Date(value);
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

/**
 * The name of a field as words: `erasureLimitPerHour` is "Erasure limit per hour".
 * @param {string} name
 */
export function spaced(name) {
  const text = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return text.charAt(0).toUpperCase() + text.slice(1);
}
