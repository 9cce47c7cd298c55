// Charts as SVG: they take their colours from the style sheet, scale with the page, and can be read as a table.
import { html, use, useState } from "./ui.js";
import { absolute, clock } from "./format.js";
import { Table } from "./parts.js";

const WIDTH = 600;
const HEIGHT = 120;
const DAY = 86_400;

/** @typedef {{name: string, tone: string, values: (number | null)[], line?: boolean}} Series */

/** Where an axis of counts ends, so that its half is a whole number. @param {number} most */
export function evenly(most) {
  const ten = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, most || 1))));
  return [2, 4, 6, 10, 20].map((times) => times * ten).find((end) => end >= most) ?? 2;
}

/** Where an axis of seconds ends. @param {number} most */
export function timely(most) {
  const ends = [0.01, 0.02, 0.1, 0.2, 0.4, 1, 2, 4, 10, 20, 60, 120, 240, 600, 1_200, 3_600, 7_200, 14_400, 43_200];
  return ends.find((end) => end >= most) ?? DAY * evenly(most / DAY);
}

/** Spans without gaps: in what was not counted, nothing happened. @param {any[]} spans with `at` (s) */
export function filled(spans, from, to, step) {
  const known = new Map(spans.map((span) => [span.at, span]));
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to && found.length < 2_000; at += step) found.push(known.get(at) ?? { at });
  return found;
}

/**
 * Bars stand on each other, lines do not. It is pointed at by the mouse, and with the arrow keys, for its plot is a
 * slider to whoever does not see it.
 * @param {{title: string, times: number[], step: number, now: number, series: Series[], write: (value: number) => string,
 *          end: (most: number) => number}} props times, step and now in seconds
 */
export function Chart({ title, times, step, now, series, write, end }) {
  const [pointed, point] = useState(null);
  const utc = use(clock) === "utc";
  const bars = series.filter((each) => !each.line);
  const lines = series.filter((each) => each.line);
  const sums = times.map((_, place) => bars.reduce((sum, each) => sum + (each.values[place] ?? 0), 0));
  const top = end(Math.max(0, ...sums, ...lines.flatMap((each) => each.values.map((value) => value ?? 0))));
  const wide = WIDTH / times.length;
  const y = (value) => HEIGHT - (HEIGHT * value) / top;
  const at = times.indexOf(pointed);
  const days = times.length * step > DAY;
  const moment = (seconds) => absolute(seconds * 1000, utc).slice(days ? 5 : 11, 16);
  const span = (place) => `${moment(times[place])}${step > 60 ? ` to ${moment(times[place] + step).slice(-5)}` : ""}${times[place] + step > now ? ", not over" : ""}`;
  // As long as it is not pointed at: all runs; or the last span that is known, and over if there is one.
  const last = (until) => times.findLastIndex((time, place) => time <= until && lines.some((each) => each.values[place] !== null));
  const here = at >= 0 || bars.length ? at : [last(now - step), last(now)].find((place) => place >= 0) ?? -1;
  const said = (each) => {
    const value = here >= 0 || each.line ? each.values[here] : each.values.reduce((sum, one) => sum + one, 0);
    return value === null || value === undefined ? "–" : write(value);
  };
  const when = here >= 0 ? span(here) : bars.length ? "in all" : "nothing is known";
  const move = (event) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    point(times[Math.min(times.length - 1, Math.max(0, Math.floor(((event.clientX - left) / width) * times.length)))]);
  };
  return html`<figure class="chart">
    <figcaption><strong>${title}</strong> <span class="moment">${when}</span>
      <span class="legend">${series.map((each) => html`<span key=${each.name} class=${`key ${each.tone}`}>
        <span class="sample" aria-hidden="true"></span>${each.name} <b>${said(each)}</b></span>`)}</span>
    </figcaption>
    <div class="plot">
      <div class="ticks" aria-hidden="true"><span>${write(top)}</span><span>${write(top / 2)}</span><span>0</span></div>
      <div class="area">
        <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          ${times.at(-1) + step > now && html`<path class="open" d=${`M${WIDTH - wide} 0H${WIDTH}V${HEIGHT}H${WIDTH - wide}z`} />`}
          <path class="grid" d=${`M0 ${HEIGHT / 2}H${WIDTH}M0 0.5H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}`} />
          ${stacked(bars, times).map(({ tone, d }, place) => html`<path key=${place} class=${`column ${tone}`} d=${d(wide, y)} />`)}
          ${lines.map((each) => html`<path key=${each.name} class=${`line ${each.tone}`} d=${drawn(each.values, wide, y)} />`)}
          ${at >= 0 && html`<path class="cursor" d=${`M${(at + 0.5) * wide} 0V${HEIGHT}`} />`}
        </svg>
        <input type="range" min="0" max=${times.length - 1} value=${at >= 0 ? at : times.length - 1} aria-label=${title}
          aria-valuetext=${`${when}: ${series.map((each) => `${each.name} ${said(each)}`).join(", ")}`}
          onInput=${(event) => point(times[event.target.value])} onFocus=${() => at < 0 && point(times.at(-1))} onBlur=${() => point(null)}
          onPointerMove=${move} onPointerLeave=${() => point(null)} />
      </div>
      <div class="ticks" aria-hidden="true"><span>${moment(times[0])}</span><span>${moment(times[0] + (times.length * step) / 2)}</span><span>now</span></div>
    </div>
    <${AsTable} title=${title} times=${times} span=${span} series=${series} write=${write} />
  </figure>`;
}

/** A chart of the size of a word. @param {{label: string, series: Series[]}} props */
export function Spark({ label, series }) {
  const top = Math.max(1, ...series.flatMap((each) => each.values));
  const wide = WIDTH / series[0].values.length;
  return html`<svg class="spark plot" viewBox=${`0 -3 ${WIDTH} ${HEIGHT + 6}`} preserveAspectRatio="none" role="img" aria-label=${label}>
    ${series.map((each) => html`<path key=${each.name} class=${`line ${each.tone}`} d=${drawn(each.values, wide, (value) => HEIGHT - (HEIGHT * value) / top)} />`)}</svg>`;
}

function stacked(bars, times) {
  const under = times.map(() => 0);
  return bars.map((each) => {
    const pieces = times.map((_, place) => {
      const from = under[place];
      under[place] += each.values[place] ?? 0;
      return [place, from, under[place]];
    });
    const d = (wide, y) => pieces.filter(([, from, to]) => to > from)
      .map(([place, from, to]) => `M${(place + 0.1) * wide} ${y(from)}V${y(to)}h${0.8 * wide}V${y(from)}z`).join("");
    return { tone: each.tone, d };
  });
}

/** A line with gaps where nothing is known. A moment alone is a dash. */
function drawn(values, wide, y) {
  let down = false;
  return values.map((value, place) => {
    if (value === null) {
      down = false;
      return "";
    }
    const alone = !down && (values[place + 1] ?? null) === null;
    const step = `${down ? "L" : "M"}${(place + (alone ? 0.1 : 0.5)) * wide} ${y(value)}${alone ? `h${0.8 * wide}` : ""}`;
    down = true;
    return step;
  }).join("");
}

function AsTable({ title, times, span, series, write }) {
  const [open, set] = useState(false);
  return html`<details onToggle=${(event) => set(event.currentTarget.open)}>
    <summary>As a table</summary>
    ${open && html`<${Table} label=${`${title}, as a table`} head=${["when", ...series.map((each) => each.name)]}>
      ${times.map((at, place) => html`<tr key=${at}><th scope="row">${span(place)}</th>
        ${series.map((each) => html`<td key=${each.name}>${each.values[place] === null ? "–" : write(each.values[place])}</td>`)}</tr>`)}<//>`}
  </details>`;
}
