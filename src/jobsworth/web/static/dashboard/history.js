// Charts of what was: how many runs ended, and how long they took and waited. They survive a restart of everything.
import { me, query, useAsked } from "./api.js";
import { Chart, evenly, filled, timely } from "./chart.js";
import { count, duration } from "./format.js";
import { beat } from "./live.js";
import { Empty, Loading, Unknown } from "./parts.js";
import { html, use } from "./ui.js";

/** Minutes that can be looked back on. */
export const RANGES = { 60: "1 hour", 360: "6 hours", 1440: "1 day", 10080: "7 days", 43200: "30 days" };

const NAME = /^[\w.:-]{1,128}$/; // nothing was ever counted under another

/** What was counted; asked again every 10 s, for a minute is the least that is counted. @param {Record<string, any>} what @param {string} [path] */
export function useHistory(what, path = "api/history") {
  use(beat);
  const { offers } = use(me);
  const nameable = [what.queue, what.task].every((name) => !name || NAME.test(name));
  const there = nameable && offers?.includes(`/${path}`);
  const asked = useAsked(there ? path + query(what) : null, Math.floor(Date.now() / 10_000));
  return { ...asked, missing: Boolean(offers) && !there };
}

/** @param {{asked: ReturnType<typeof useHistory>, minutes: number}} props */
export function History({ asked, minutes }) {
  if (asked.data) return html`<${Charts} history=${asked.data} minutes=${minutes} />`;
  if (asked.missing) return html`<${Empty} title="No statistics">This installation does not count how runs end.<//>`;
  return asked.error ? html`<${Unknown} error=${asked.error} what="how it went" />` : html`<${Loading} />`;
}

const rate = (number) => count(Math.round(number * 10) / 10);

function Charts({ history, minutes }) {
  const { now, step, spans, depths } = history;
  if (!spans.some((span) => span.ended) && !depths.length) {
    return html`<${Empty} title="Nothing has run in this time">
      Charts begin with the first job that ends. They are counted per minute and kept for 30 days.
    <//>`;
  }
  const all = filled(spans, now - minutes * 60, now, step);
  const of = (...names) => all.map((span) => names.reduce((sum, name) => sum + (span[name] ?? 0), 0));
  const part = (name, share) => all.map((span) => span[name]?.[share] ?? null);
  const per = { 60: "a minute", 3600: "an hour" }[step] ?? (step > 3600 ? `per ${step / 3600} hours` : `per ${step / 60} minutes`);
  const seen = new Map(depths.map((depth) => [depth.at, depth]));
  const stood = (name) => all.map((span) => seen.get(span.at)?.[name] ?? null);
  const common = { times: all.map((span) => span.at), step, now };
  const times = (name) => [
    { name: "half within", tone: "calm", line: true, values: part(name, "p50") },
    { name: "95 % within", tone: "warn", line: true, values: part(name, "p95") },
  ];
  return html`<div class="charts">
    <${Chart} title=${`Runs ended, ${per}`} ...${common} write=${count} end=${evenly} series=${[
      { name: "completed", tone: "good", values: of("completed") },
      { name: "to run again", tone: "warn", values: of("retried", "crashed", "put_back") },
      { name: "failed", tone: "bad", values: of("failed") },
      { name: "cancelled", tone: "mute", values: of("cancelled") },
    ]} />
    <${Chart} title="Wait for a worker" ...${common} write=${duration} end=${timely} series=${times("wait")} />
    <${Chart} title="Run time" ...${common} write=${duration} end=${timely} series=${times("run")} />
    ${depths.length > 0 && html`<${Chart} title="In and out, a minute" ...${common} write=${rate} end=${evenly} series=${[
      { name: "jobs in", tone: "calm", line: true, values: stood("in_rate") },
      { name: "runs ended", tone: "good", line: true, values: all.map(({ at, ended = 0 }) => (at + step > now ? null : (ended * 60) / step)) },
    ]} />
    <${Chart} title="Waiting jobs" ...${common} write=${rate} end=${evenly} series=${[
      { name: "on average", tone: "calm", line: true, values: stood("waiting") },
    ]} />
    <${Chart} title="Oldest still waiting" ...${common} write=${duration} end=${timely} series=${[
      { name: "at most for", tone: "warn", line: true, values: stood("oldest") },
    ]} />`}
  </div>
  <p class="mute">Times are estimates: they are counted in steps of about a factor of two.</p>`;
}
