// Charts of what was: how many runs ended, and how long they took and waited. They survive a restart of everything.
import { me, query, useAsked } from "./api.js";
import { Chart, filled } from "./chart.js";
import { count, duration } from "./format.js";
import { Empty, Loading, Unknown } from "./parts.js";
import { html, use } from "./ui.js";

/** Minutes that can be looked back on. */
export const RANGES = { 60: "1 hour", 360: "6 hours", 1440: "1 day", 10080: "7 days", 43200: "30 days" };

/** @param {{minutes: number, beat: unknown, queue?: string, task?: string}} props */
export function History({ minutes, beat, queue, task }) {
  // A minute is what is counted: reading it more often than every 10 s shows nothing new.
  const { offers } = use(me);
  const there = offers?.includes("/api/history");
  const asked = useAsked(there ? `api/history${query({ minutes, queue, task })}` : null, Math.floor(Number(beat) / 10));
  if (asked.data) return html`<${Charts} history=${asked.data} minutes=${minutes} />`;
  if (offers && !there) {
    return html`<${Empty} title="No statistics">This installation does not count how runs end.<//>`;
  }
  return asked.error ? html`<${Unknown} error=${asked.error} what="how it went" />` : html`<${Loading} />`;
}

function Charts({ history, minutes }) {
  const { now, step, spans } = history;
  if (!spans.some((span) => span.ended)) {
    return html`<${Empty} title="Nothing has run in this time">
      Charts begin with the first job that ends. They are counted per minute and kept for 30 days.
    <//>`;
  }
  const all = filled(spans, now - minutes * 60, now, step, (at) => ({ at }));
  const times = all.map((span) => span.at);
  const of = (name) => all.map((span) => span[name] ?? 0);
  const part = (name, share) => all.map((span) => span[name]?.[share] ?? null);
  const per = step >= 3600 ? "per hour" : step > 60 ? `per ${step / 60} minutes` : "per minute";
  return html`<div class="charts">
    <${Chart} title=${`Runs ended ${per}`} times=${times} write=${count} series=${[
      { name: "completed", tone: "good", values: of("completed") },
      { name: "retried", tone: "warn", values: of("retried") },
      { name: "failed", tone: "bad", values: of("failed") },
    ]} />
    <${Chart} title="Wait for a worker" times=${times} write=${duration} series=${[
      { name: "half within", tone: "calm", line: true, values: part("wait", "p50") },
      { name: "95 % within", tone: "warn", line: true, values: part("wait", "p95") },
    ]} />
    <${Chart} title="Run time" times=${times} write=${duration} series=${[
      { name: "half within", tone: "calm", line: true, values: part("run", "p50") },
      { name: "95 % within", tone: "warn", line: true, values: part("run", "p95") },
    ]} />
  </div>`;
}
