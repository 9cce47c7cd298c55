// Overview: is anything wrong? One line answers; what follows says where to look.
import { query, useAsked } from "../api.js";
import { RANGES, History, useHistory } from "../history.js";
import { count, duration, jobs } from "../format.js";
import { beat, live } from "../live.js";
import { Answer, Empty, Heading, Tile } from "../parts.js";
import { href, stay } from "../router.js";
import { html, use } from "../ui.js";
import { WorkerTable } from "./workers.js";

const HOUR = 3_600;

export function Overview({ place }) {
  const now = use(beat);
  const asked = useAsked("api/overview", now);
  const failed = useAsked(`api/jobs${query({ state: "failed", finished_within: HOUR, limit: 1, count: "true" })}`, now);
  const workers = useAsked("api/workers", now);
  const wish = place.query.get("minutes");
  const minutes = Object.hasOwn(RANGES, wish) ? Number(wish) : 60;
  const past = useHistory({ minutes });
  return html`<${Heading} title="Overview" />
    <${Verdict} asked=${asked} workers=${workers.data} failed=${failed.data?.count} />
    <${Answer} asked=${asked} what="how things stand">${(sums) => html`
      <${Alerts} alerts=${sums.alerts} />
      <${Tiles} sums=${sums} failed=${failed.data?.count} />`}<//>
    <section aria-labelledby="went">
      <div class="heading"><h2 id="went">How it went</h2>
        <label>Time <select value=${String(minutes)} onChange=${(event) => stay("overview", "", { minutes: event.target.value })}>
          ${Object.entries(RANGES).map(([value, name]) => html`<option key=${value} value=${value}>${name}</option>`)}
        </select></label>
      </div>
      <${History} minutes=${minutes} asked=${past} />
    </section>
    <section aria-labelledby="crew"><h2 id="crew">Workers</h2>
      <${Answer} asked=${workers} what="who works">${(found) => html`<${WorkerTable} workers=${found} />`}<//>
    </section>`;
}

/** The one line. */
function Verdict({ asked, workers, failed }) {
  const { state } = use(live);
  const old = ["stale", "away", "refused"].includes(state);
  const line = (kind, sign, text, beside) => // what is beside changes too often to be read aloud
    html`<p class=${`verdict ${kind}`} data-verdict=${kind}><span aria-hidden="true">${sign}</span> <span role="status">${text}</span> ${beside}</p>`;
  if (asked.error && (asked.error.status === 503 || !asked.data)) {
    return line("unknown", "⚠", `Cannot tell whether anything is wrong: ${asked.error.message}.`);
  }
  if (!asked.data) return line("unknown", "…", "Reading how things stand.");
  const sums = asked.data;
  const silent = (workers ?? []).filter((each) => each.silent).length;
  const wrong = [
    ...sums.alerts.map((each) => each.text.replace(/\.?$/, ".")),
    ...(silent ? [`${silent} worker${silent === 1 ? " is" : "s are"} silent.`] : []),
    ...(failed ? [`${jobs(failed)} failed in the last hour.`] : []),
  ];
  if (old) return line("unknown", "⚠", `This is how things stood when the server last answered: ${wrong[0] ?? "nothing was wrong"}`);
  if (!wrong.length) return line("well", "✓", "Nothing is wrong.", going(sums));
  const more = wrong.length > 1 ? ` And ${wrong.length - 1} more below.` : "";
  return line("wrong", "!", `${wrong[0]}${more}`);
}

function going(sums) {
  if (sums.running) return `${jobs(sums.running)} running, ${count(sums.waiting)} waiting.`;
  return sums.workers ? "Everything is idle." : "No worker is running, and nothing waits for one.";
}

function Alerts({ alerts }) {
  if (!alerts.length) return null;
  return html`<section aria-labelledby="alerts"><h2 id="alerts">Alerts</h2>
    <ul class="alerts">${alerts.map((each) => html`<li key=${each.kind + each.queue + each.text}>
      ${each.text} <a href=${href("queues", each.queue)}>Look at ${each.queue}</a>${each.code && html` <span class="mute">${each.code}</span>`}</li>`)}</ul>
  </section>`;
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
    <${Tile} label="failed in the last hour" value=${count(failed)} tone=${failed ? "bad" : ""} to=${href("dead")} />
    <${Tile} label="dead letters" value=${count(counts.failed)} note="kept for a person" to=${href("dead")} />
    <${Tile} label="came in" value=${count(sums.in_rate)} note="last minute" />
    <${Tile} label="ended" value=${count(sums.out_rate)} note="last minute" />
    <${Tile} label="workers" value=${count(sums.workers)} note=${`on ${sums.engine}`} to=${href("workers")} />
  </div>`;
}
