// @ts-check
/** Bars over time. They are drawn as SVG, so they take the colours of the page and need no library. */
import { clockTime, localTime, number, short } from "../format.js";
import { html } from "../html.js";

const HEIGHT = 100;

/**
 * @typedef {object} Layer a part of each bar
 * @property {string} name
 * @property {string} className
 * @property {(bucket: any) => number} value
 */

/**
 * @param {object} props
 * @param {string} props.title
 * @param {any[]} props.buckets with `at` and `estimated`
 * @param {Layer[]} props.layers from the bottom to the top
 * @param {boolean} props.withDay whether the axis names the day
 */
export function Bars({ title, buckets, layers, withDay }) {
  const totals = layers.map(({ value }) => buckets.reduce((sum, bucket) => sum + value(bucket), 0));
  const highest = Math.max(1, ...buckets.map((bucket) => layers.reduce((sum, { value }) => sum + value(bucket), 0)));
  const estimated = buckets.some((bucket) => bucket.estimated);
  const about = estimated ? "about " : "";
  const summary = layers.map(({ name }, index) => `${about}${number(totals[index])} ${name}`).join(", ");
  return html`<figure class="chart">
    <figcaption>
      <strong>${title}</strong>
      <span class="legend">
        ${layers.map(
          ({ name, className }, index) =>
            html`<span key=${name}><i class=${className}></i>${about}${number(totals[index])} ${name}</span>`,
        )}
      </span>
    </figcaption>
    <div class="plot">
      <span class="scale" aria-hidden="true">${short(highest)}</span>
      <svg viewBox=${`0 0 ${buckets.length * 10} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${`${title}: ${summary}`}>
        ${buckets.map((bucket, index) => {
          let top = HEIGHT;
          const what = layers.map(({ name, value }) => `${number(value(bucket))} ${name}`).join("\n");
          return html`<g key=${bucket.at}>
            <title>${`${localTime(bucket.at)}\n${bucket.estimated ? "estimated:\n" : ""}${what}`}</title>
            <rect class="reach" x=${index * 10} y="0" width="10" height=${HEIGHT} />
            ${layers.map(({ value, className }) => {
              const amount = value(bucket);
              if (amount === 0) return null;
              const height = Math.max(2, (amount / highest) * HEIGHT);
              top -= height;
              return html`<rect class=${className} x=${index * 10 + 1} y=${top} width="8" height=${height} />`;
            })}
          </g>`;
        })}
      </svg>
      <span class="axis" aria-hidden="true">
        <span>${clockTime(buckets[0].at, withDay)}</span>
        <span>now</span>
      </span>
    </div>
  </figure>`;
}

/** The month that GDPR Art. 12(3) gives, and where a person should begin to look. */
export const MONTH_DAYS = 30;
export const WARN_DAYS = 20;
export const ALARM_DAYS = 27;

/**
 * How old an erasure is, as a word for its colour.
 * @param {number} seconds
 */
export function urgency(seconds) {
  const days = seconds / 86_400;
  return days >= ALARM_DAYS ? "alarm" : days >= WARN_DAYS ? "warn" : "calm";
}

/**
 * The age of an erasure against the month that it may take.
 * @param {{ seconds: number }} props
 */
export function AgeBar({ seconds }) {
  const days = seconds / 86_400;
  const text = `${days < 1 ? "less than a day" : `${Math.floor(days)} days`} of ${MONTH_DAYS}`;
  return html`<span class="age">
    <svg viewBox=${`0 0 ${MONTH_DAYS} 4`} preserveAspectRatio="none" role="img" aria-label=${text}>
      <title>${text}</title>
      <rect class="track" width=${MONTH_DAYS} height="4" />
      <rect class=${urgency(seconds)} width=${Math.min(MONTH_DAYS, Math.max(0.4, days))} height="4" />
      <rect class="mark" x=${WARN_DAYS} width="0.15" height="4" />
      <rect class="mark" x=${ALARM_DAYS} width="0.15" height="4" />
    </svg>
  </span>`;
}

/**
 * @param {{ done: number, all: number, label: string }} props
 */
export function Progress({ done, all, label }) {
  return html`<progress max=${Math.max(1, all)} value=${done} aria-label=${label} title=${label}></progress>`;
}
