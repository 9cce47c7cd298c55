// Charts as SVG: they take their colours from the style sheet, scale with the page, and can be read as a table.
import { html, useState } from "./ui.js";
import { absolute } from "./format.js";

const WIDTH = 600;
const HEIGHT = 120;

/** @typedef {{name: string, tone: string, values: (number | null)[], line?: boolean}} Series */

/** A good number to end an axis with. @param {number} most */
export function ceiling(most) {
  if (!(most > 0)) return 1;
  const ten = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((times) => times * ten).find((end) => end >= most);
}

/** Spans without gaps: what was not counted is nothing. @param {any[]} spans with `at` (s) @param {(at: number) => any} none */
export function filled(spans, from, to, step, none) {
  const known = new Map(spans.map((span) => [span.at, span]));
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to && found.length < 2_000; at += step) found.push(known.get(at) ?? none(at));
  return found;
}

/**
 * Bars stand on each other, lines do not.
 * @param {{title: string, times: number[], series: Series[], write: (value: number) => string}} props times in seconds
 */
export function Chart({ title, times, series, write }) {
  const [at, point] = useState(null);
  const bars = series.filter((each) => !each.line);
  const lines = series.filter((each) => each.line);
  const sums = times.map((_, place) => bars.reduce((sum, each) => sum + (each.values[place] ?? 0), 0));
  const top = ceiling(Math.max(0, ...sums, ...lines.flatMap((each) => each.values.map((value) => value ?? 0))));
  const wide = WIDTH / Math.max(1, times.length);
  const y = (value) => HEIGHT - (HEIGHT * value) / top;
  const move = (event) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    point(Math.min(times.length - 1, Math.max(0, Math.floor(((event.clientX - left) / width) * times.length))));
  };
  const shown = at !== null && at < times.length ? at : times.length - 1;
  return html`<figure class="chart">
    <figcaption>
      <strong>${title}</strong>
      <span class="moment">${absolute(times[shown] * 1000, false).slice(0, 16)}</span>
      ${series.map((each) => html`<span key=${each.name} class=${`key ${each.tone}`}>
        <span class="sample" aria-hidden="true"></span>${each.name} <b>${each.values[shown] === null ? "–" : write(each.values[shown])}</b>
      </span>`)}
    </figcaption>
    <div class="plot">
      <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${`${title}: chart; the table below holds its numbers`}
        onPointerMove=${move} onPointerLeave=${() => point(null)}>
        <path class="grid" d=${`M0 ${HEIGHT / 2}H${WIDTH}M0 0.5H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}`} />
        ${stacked(bars, times).map(({ tone, d }, place) => html`<path key=${place} class=${`column ${tone}`} d=${d(wide, y)} />`)}
        ${lines.map((each) => html`<path key=${each.name} class=${`line ${each.tone}`} d=${drawn(each.values, wide, y)} />`)}
        ${at !== null && html`<path class="cursor" d=${`M${(at + 0.5) * wide} 0V${HEIGHT}`} />`}
      </svg>
      <span class="top" aria-hidden="true">${write(top)}</span>
    </div>
    <${AsTable} title=${title} times=${times} series=${series} write=${write} />
  </figure>`;
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

function drawn(values, wide, y) {
  let down = false;
  return values.map((value, place) => {
    if (value === null) {
      down = false;
      return "";
    }
    const x = (place + 0.5) * wide;
    const alone = !down && (values[place + 1] ?? null) === null;
    const step = `${down ? "L" : "M"}${x} ${y(value)}${alone ? `h${0.5 * wide}` : ""}`;
    down = true;
    return step;
  }).join("");
}

function AsTable({ title, times, series, write }) {
  const [open, set] = useState(false);
  return html`<details onToggle=${(event) => set(event.currentTarget.open)}>
    <summary>As a table</summary>
    ${open && html`<div class="wide" tabindex="0" role="group" aria-label=${`${title}, as a table`}><table>
      <thead><tr><th scope="col">from</th>${series.map((each) => html`<th key=${each.name} scope="col">${each.name}</th>`)}</tr></thead>
      <tbody>${times.map((at, place) => html`<tr key=${at}><th scope="row">${absolute(at * 1000, false).slice(0, 16)}</th>
        ${series.map((each) => html`<td key=${each.name}>${each.values[place] === null ? "–" : write(each.values[place])}</td>`)}</tr>`)}</tbody>
    </table></div>`}
  </details>`;
}
