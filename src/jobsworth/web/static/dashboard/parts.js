// Small things that all screens are made of.
import { clock, STATES, absolute, count, duration, relative, tick } from "./format.js";
import { useKeys } from "./keys.js";
import { Store, html, use, useEffect, useRef, useState } from "./ui.js";
import { live } from "./live.js";
import { href, place } from "./router.js";

/** A state: sign, word and tone. */
export function Badge({ state }) {
  const { sign, tone, about } = STATES[state] ?? { sign: "?", tone: "mute", about: "" };
  return html`<span class=${`badge ${tone}`} title=${about}><span aria-hidden="true">${sign}</span> ${state}</span>`;
}

/** A moment in ISO 8601, as the visitor likes to read moments; the other way to read it on hovering. */
export function When({ at, none = "–" }) {
  const way = use(clock);
  const now = use(tick);
  if (!at) return html`<span class="mute">${none}</span>`;
  const moment = Date.parse(at);
  const shown = way === "relative" ? relative(moment, now) : absolute(moment, way === "utc");
  const other = way === "relative" ? absolute(moment, true) : relative(moment, now);
  return html`<time datetime=${at} title=${other}>${shown}</time>`;
}

/** How far something is; of unknown length if nothing is known. */
export function Progress({ progress, label }) {
  const { percent, current, total } = progress ?? {};
  const known = percent ?? (total ? (100 * current) / total : null);
  const said = known === null || known === undefined ? (current ? count(current) : "") : `${Math.floor(known)} %`;
  return html`<span class="progress">
    <progress aria-label=${label ?? "progress"} max="100" value=${known ?? undefined}></progress>
    <span class="number">${said}</span>
  </span>`;
}

/** A link to a job. */
export function JobLink({ id, children }) {
  return html`<a class="id" href=${href("jobs", id)} title=${id}>${children ?? id}</a>`;
}

/** Nothing to show, and which kind of nothing: "none" (yet), "unmatched" or "unknown" (cannot be told). */
export function Empty({ kind = "none", title, children }) {
  const sign = { none: "○", unmatched: "⌕", unknown: "⚠" }[kind];
  return html`<div class=${`empty ${kind}`} data-empty=${kind}>
    <span class="sign" aria-hidden="true">${sign}</span>
    <p class="title">${title}</p>
    <div>${children}</div>
  </div>`;
}

/** Why something cannot be shown: the server's words. */
export function Unknown({ error, what }) {
  if (error.status === 404) {
    return html`<${Empty} kind="unknown" title="There is no such thing">
      ${error.message}. It may have been removed after its queue’s <code>keep</code>, or not be yours.
    <//>`;
  }
  return html`<${Empty} kind="unknown" title=${`Cannot tell ${what}`}>${error.message}${error.hint && ` (${error.hint})`}<//>`;
}

/** What is asked for has not come yet. */
export const Loading = () => html`<p class="loading" role="status">Reading…</p>`;

/** What a screen shows of an answer: the answer, that it cannot be told, or that it has not come. */
export function Answer({ asked, what, children }) {
  if (asked.data !== null) return children(asked.data);
  return asked.error ? html`<${Unknown} error=${asked.error} what=${what} />` : html`<${Loading} />`;
}

let arriving = false; // at another screen, whose heading is not there yet
let before = place.value;
place.listen((now) => {
  arriving ||= now.screen !== before.screen || now.id !== before.id;
  before = now;
});

/** A screen's heading. Whoever comes to the screen from another one, by keyboard or screen reader, begins here. */
export function Heading({ children, title, beside }) {
  const here = useRef(null);
  useEffect(() => {
    const lost = document.activeElement === document.body && before.came;
    if (arriving || lost) here.current.focus();
    arriving = false;
  }, []);
  useEffect(() => {
    document.title = `${title} · Jobsworth`;
  }, [title]);
  return html`<div class="heading"><h1 ref=${here} tabindex="-1">${children ?? title}</h1>${beside}</div>`;
}

/** A part of a screen under a heading. @param {{title: string, beside?: any, kind?: string, children?: any}} props */
export function Section({ title, beside, kind, children }) {
  const id = `part-${title.toLowerCase().replaceAll(" ", "-")}`;
  const heading = html`<h2 id=${id}>${title}</h2>`;
  return html`<section class=${kind} aria-labelledby=${id}>${beside ? html`<div class="heading">${heading}${beside}</div>` : heading}${children}</section>`;
}

/** A table that scrolls by itself where it is too wide. @param {{label: string, head: any[], kind?: string, children?: any}} props */
export function Table({ label, head, kind, children }) {
  return html`<div class="wide" tabindex="0" role="group" aria-label=${label}><table class=${kind}>
    <thead><tr>${head.map((each) => (typeof each === "string" ? html`<th key=${each} scope="col">${each}</th>` : each))}</tr></thead>
    <tbody>${children}</tbody></table></div>`;
}

/** A value with a label, as in a row of tiles. */
export function Tile({ label, value, note, to, tone = "" }) {
  const inside = html`<span class="value">${value}</span><span class="label">${label}</span>
    ${note && html`<span class="note">${note}</span>`}`;
  return to
    ? html`<a class=${`tile ${tone}`} href=${to}>${inside}</a>`
    : html`<div class=${`tile ${tone}`}>${inside}</div>`;
}

/** A button that copies text, over plain HTTP too. */
export function Copy({ text, label }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      copyTheOldWay(text()); // no secure context
    }
    say(`Copied: ${label.toLowerCase()}`);
  };
  return html`<button type="button" onClick=${copy}>Copy ${label}</button>`;
}

function copyTheOldWay(text) {
  const box = document.createElement("textarea");
  box.value = text;
  box.className = "hidden";
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}

/** Hand a file to the browser. @param {string} name @param {string} kind @param {string} text */
export function download(name, kind, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// ── what is said at the edge of the page ─────────────────────────────────────────────────────────────────────────

const words = new Store([]);
let said = 0;

const forget = (word) => words.set(words.value.filter((each) => each !== word));

/**
 * Tell the visitor; screen readers say it when they have time.
 * @param {string} text @param {"good" | "bad"} [tone] @param {() => unknown} [undo] what takes it back
 */
export function say(text, tone = "good", undo) {
  const word = { id: ++said, text, tone, undo };
  words.set([...words.value.slice(-3), word]);
  setTimeout(forget, undo ? 20_000 : tone === "bad" ? 12_000 : 6_000, word);
}

/** Do something and tell how it went. @param {() => Promise<string | void>} act @param {() => unknown} [undo] @returns {Promise<boolean>} */
export async function trying(act, undo) {
  try {
    const done = await act();
    if (done) say(done, "good", undo);
    return true;
  } catch (error) {
    say([error.message, error.hint].filter(Boolean).join("; "), "bad");
    return false;
  }
}

export function Words() {
  const shown = use(words);
  const takeBack = (word) => word && (forget(word), word.undo());
  useKeys({ z: () => takeBack(shown.findLast((word) => word.undo)) });
  return html`<div class="words" role="status" aria-live="polite">
    ${shown.map((word) => html`<p key=${word.id} class=${word.tone}>${word.text}
      ${word.undo && html` <button type="button" onClick=${() => takeBack(word)}>Undo</button>`}</p>`)}
  </div>`;
}

/** Whether what is shown is true now. */
export function Trust() {
  const { state, since, error } = use(live);
  const now = use(tick);
  const for_ = duration(Math.max(0, Math.round((now - since) / 1000)));
  const [sign, tone, text] = {
    connecting: ["◌", "mute", "connecting"],
    live: ["●", "good", "live"],
    polling: ["●", "good", "live, every 5 s"],
    paused: ["‖", "mute", `paused for ${for_}`],
    stale: ["⚠", "warn", `stale: server away for ${for_}`],
    away: ["⚠", "warn", `stale: storage away for ${for_}`],
    refused: ["⚠", "bad", `stale: ${error?.message ?? "not signed in"}`],
  }[state];
  return html`<span class=${`trust ${tone}`} data-trust=${state}><span aria-hidden="true">${sign}</span> ${text}</span>`;
}

/** Whether a thing is open, kept by whoever shows it. */
export function Folded({ title, children, open = false }) {
  const [opened, set] = useState(open);
  return html`<details open=${opened} onToggle=${(event) => set(event.currentTarget.open)}>
    <summary>${title}</summary>${opened && children}
  </details>`;
}
