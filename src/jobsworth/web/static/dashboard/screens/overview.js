// Overview: is anything wrong? One line answers; what follows says where to look.
import { query, useAsked } from "../api.js";
import { RANGES, History, useHistory } from "../history.js";
import { count, duration, jobs } from "../format.js";
import { beat, live } from "../live.js";
import { Answer, Empty, Heading, Section, Tile } from "../parts.js";
import { href, stay } from "../router.js";
import { html, use } from "../ui.js";
import { WorkerTable } from "./floor.js";

const HOUR = 3_600;

export function Overview({ place }) {
  const now = use(beat);
  const asked = useAsked("api/overview", now);
  const failed = useAsked(`api/jobs${query({ state: "failed", finished_within: HOUR, limit: 1, count: "true" })}`, now);
  const workers = useAsked("api/workers", now);
  const wish = place.query.get("minutes");
  const minutes = Object.hasOwn(RANGES, wish) ? Number(wish) : 60;
  const past = useHistory({ minutes });
  const wrong = asked.data ? wrongs(asked.data, workers.data, failed.data?.count) : [];
  return html`<${Heading} title="Overview" />
    <${Verdict} asked=${asked} wrong=${wrong} />
    <${Answer} asked=${asked} what="how things stand">${(sums) => html`
      <${Alerts} wrong=${wrong} />
      <${Tiles} sums=${sums} failed=${failed.data?.count} />`}<//>
    <${Section} title="How it went" beside=${html`<label>Time <select value=${String(minutes)} onChange=${(event) => stay("overview", "", { minutes: event.target.value })}>
      ${Object.entries(RANGES).map(([value, name]) => html`<option key=${value} value=${value}>${name}</option>`)}</select></label>`}>
      <${History} minutes=${minutes} asked=${past} /><//>
    <${Section} title="Workers"><${Answer} asked=${workers} what="who works">${(found) => html`<${WorkerTable} workers=${found} />`}<//><//>`;
}

/** All that is wrong, the worst first. @returns {{text: string, to: string, see: string, code?: string}[]} */
function wrongs(sums, workers, failed) {
  const silent = (workers ?? []).filter((each) => each.silent).length;
  return [
    ...sums.alerts.map(({ text, queue, code }) => ({ text: text.replace(/\.?$/, "."), to: href("queues", queue), see: `Look at ${queue}`, code })),
    ...(silent ? [{ text: `${silent} worker${silent === 1 ? " is" : "s are"} silent.`, to: href("workers"), see: "Look at the workers" }] : []),
    ...(failed ? [{ text: `${jobs(failed)} failed in the last hour.`, to: href("dead"), see: "Look at the dead letters" }] : []),
  ];
}

/** The one line. */
function Verdict({ asked, wrong }) {
  const { state } = use(live);
  const old = ["stale", "away", "refused"].includes(state);
  const line = (kind, sign, text, beside) => // what is beside changes too often to be read aloud
    html`<p class=${`verdict ${kind}`} data-verdict=${kind}><span aria-hidden="true">${sign}</span> <span role="status">${text}</span> ${beside}</p>`;
  if (asked.error && (asked.error.status === 503 || !asked.data)) {
    return line("unknown", "⚠", `Cannot tell whether anything is wrong: ${asked.error.message}.`);
  }
  if (!asked.data) return line("unknown", "…", "Reading how things stand.");
  const [first] = wrong;
  if (old) return line("unknown", "⚠", `This is how things stood when the server last answered: ${first?.text ?? "nothing was wrong"}`);
  if (!first) return line("well", "✓", "Nothing is wrong.", going(asked.data));
  const more = wrong.length > 1 ? ` And ${wrong.length - 1} more below.` : "";
  return line("wrong", "!", first.text + more, html`<a href=${first.to}>${first.see}</a>`);
}

function going(sums) {
  if (sums.running) return `${jobs(sums.running)} running, ${count(sums.waiting)} waiting.`;
  return sums.workers ? "Everything is idle." : "No worker is running, and nothing waits for one.";
}

function Alerts({ wrong }) {
  if (wrong.length < 2) return null; // the verdict says it
  return html`<${Section} title="Alerts"><ul class="alerts">${wrong.map((each) => html`<li key=${each.to + each.text}>
      ${each.text} <a href=${each.to}>${each.see}</a>${each.code && html` <span class="mute">${each.code}</span>`}</li>`)}</ul><//>`;
}

function Tiles({ sums, failed }) {
  const { counts } = sums;
  const oldest = sums.oldest === null ? "nothing waits" : `oldest for ${duration(sums.oldest)}`;
  if (!Object.values(counts).some(Boolean)) {
    return html`<${Empty} title="No job yet">Enqueue one from the <a href=${href("tasks")}>task catalogue</a>, or from
      the app: <code>task.enqueue(…)</code><//>`;
  }
  return html`<div class="tiles">
    <${Tile} label="waiting" value=${count(sums.waiting)} note=${oldest} to=${href("jobs", "", { state: "queued" })} />
    <${Tile} label="scheduled" value=${count(counts.scheduled)} note="retries too" to=${href("jobs", "", { state: "scheduled" })} />
    <${Tile} label="running" value=${count(sums.running)} note=${`of ${count(sums.slots)} slots`} to=${href("jobs", "", { state: "running" })} />
    <${Tile} label="failed" note="in the last hour" value=${count(failed)} tone=${failed ? "bad" : ""} to=${href("dead")} />
    <${Tile} label="dead letters" value=${count(counts.failed)} note="all kept" to=${href("dead")} />
    <${Tile} label="came in" value=${count(sums.in_rate)} note="last minute" />
    <${Tile} label="ended" value=${count(sums.out_rate)} note="last minute" />
    <${Tile} label="workers" value=${count(sums.workers)} note=${`on ${sums.engine}`} to=${href("workers")} />
  </div>`;
}
