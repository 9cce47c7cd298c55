// The shop floor. Queues: how deep, how old, what comes and goes, and whether the slots suffice. Workers: who is there,
// what they run, and whether they were heard of lately.
import { setPaused } from "../actions.js";
import { may, useAsked } from "../api.js";
import { Spark, filled } from "../chart.js";
import { bytes, count, duration, jobs, short } from "../format.js";
import { History, useHistory } from "../history.js";
import { rowHere, useKeys } from "../keys.js";
import { beat } from "../live.js";
import { Answer, Empty, Heading, JobLink, Section, Table, Tile, When } from "../parts.js";
import { href } from "../router.js";
import { html, use } from "../ui.js";

// ── queues ────────────────────────────────────────────────────────────────────────────────────────────────────

const HOUR = 3_600; // s
const HEAD = ["Queue", "Waiting", "Oldest", "Scheduled", "Slots taken", "In and out", "Empty in", "Dead", "Actions"];

export function Queues({ place }) {
  const asked = useAsked("api/queues", use(beat));
  const toggle = () => {
    const queue = asked.data?.find((each) => each.queue === (rowHere() ?? place.id));
    if (queue && may("operate")) setPaused(queue.queue, !queue.paused);
  };
  useKeys({ P: toggle });
  if (place.id) return html`<${Answer} asked=${asked} what="how the queue stands">${(all) => html`<${One} all=${all} name=${place.id} />`}<//>`;
  return html`<${Heading} title="Queues" />
    <${Answer} asked=${asked} what="how the queues stand">${(queues) => html`<${All} queues=${queues} />`}<//>`;
}

function All({ queues }) {
  const past = useHistory({}, "api/history/queues");
  if (!queues.length) {
    return html`<${Empty} title="No queue yet">A queue is there as soon as a task of it is enqueued, or a worker serves it.<//>`;
  }
  return html`<${Table} label="Queues" head=${HEAD}>
    ${queues.map((queue) => html`<tr key=${queue.queue} data-row=${queue.queue}>
      <th scope="row"><a href=${href("queues", queue.queue)}>${queue.queue}</a>${queue.paused && html` <${PausedBadge} />`}</th>
      <td class="number"><a href=${href("jobs", "", { queue: queue.queue, state: "queued" })}>${count(queue.waiting)}</a></td>
      <td class="number">${duration(queue.oldest)}</td>
      <td class="number">${count(queue.counts.scheduled)}</td>
      <td><${Slots} running=${queue.running} slots=${queue.slots} /></td>
      <td><span class="number">${count(queue.in_rate)} in, ${count(queue.out_rate)} out a minute</span><${Flow} flows=${past.data} name=${queue.queue} /></td>
      <td><${Drains} of=${drains(queue)} /></td>
      <td class="number"><a href=${href("dead", "", { queue: queue.queue })}>${count(queue.counts.failed)}</a></td>
      <td><${Pause} queue=${queue} /></td>
    </tr>`)}<//>`;
}

const PausedBadge = () => html`<span class="badge warn"><span aria-hidden="true">‖</span> paused</span>`;

/** When nothing waits any more, said as far as it can be told: a word, and what there is to say of it. @returns {[string, string]} */
function drains(queue) {
  if (!queue.waiting) return ["–", "nothing waits"];
  if (queue.drains_in !== null) return [queue.drains_in === 0 ? "now" : duration(queue.drains_in), "about"];
  if (queue.paused) return ["never", "while it is paused"];
  if (!queue.slots) return ["never", "no worker"];
  return queue.missing_slots ? ["never", `${count(queue.missing_slots)} slots missing`] : ["–", "cannot be told"];
}

const Drains = ({ of: [word, note] }) => html`${word !== "–" && word} <span class="mute">${note}</span>`;

/** What came and what ended, minute by minute. */
function Flow({ flows, name }) {
  const flow = flows?.queues.find((each) => each.queue === name);
  if (!flow) return null;
  const { now, step } = flows;
  const came = filled(flow.depths, now - HOUR, now, step).map((depth) => depth.in_rate ?? null);
  const ended = filled(flow.spans, now - HOUR, now, step).map((span) => span.ended ?? 0);
  return html`<${Spark} label=${`In and out in the last hour: at most ${count(Math.max(...came))} a minute came in, ${count(Math.max(...ended))} ended`}
    series=${[{ name: "in", tone: "calm", values: came }, { name: "out", tone: "good", values: ended }]} />`;
}

/** Which part of its slots' time the runs took that ended in the last hour. @returns {[string, string]} */
function utilisation(past, slots) {
  if (!past || !slots) return ["–", slots ? "" : "no slots now"];
  const busy = past.spans.reduce((sum, span) => sum + span.busy, 0);
  return [`${Math.round((100 * busy) / (slots * HOUR))} %`, `of ${count(slots)} slots, last hour`];
}

function Pause({ queue }) {
  if (!may("operate")) return html`<span class="mute">–</span>`;
  const verb = queue.paused ? "Resume" : "Pause";
  return html`<button type="button" aria-label=${`${verb} ${queue.queue}`} onClick=${() => setPaused(queue.queue, !queue.paused)}>${verb}</button>`;
}

function One({ all, name }) {
  const queue = all.find((each) => each.queue === name);
  const past = useHistory({ minutes: 60, queue: name });
  if (!queue) {
    return html`<${Heading} title=${`Queue ${name}`} /><${Empty} kind="unknown" title="There is no such queue">
      <a href=${href("queues")}>All queues</a><//>`;
  }
  const to = (state) => href("jobs", "", { queue: name, state });
  const unknown = Object.entries(queue.unroutable);
  const used = utilisation(past.data, queue.slots);
  return html`<${Heading} title=${`Queue ${name}`} beside=${html`<${Pause} queue=${queue} />`}>Queue ${name}${queue.paused && html` <${PausedBadge} />`}<//>
    ${unknown.map(([task, number]) => html`<p key=${task} class="verdict wrong">
      ${jobs(number)} need the task ${task}, which no live worker knows. They wait, nothing is lost.</p>`)}
    <div class="tiles">
      <${Tile} label="waiting" value=${count(queue.waiting)} note=${queue.oldest === null ? "" : `oldest for ${duration(queue.oldest)}`} to=${to("queued")} />
      <${Tile} label="scheduled" value=${count(queue.counts.scheduled)} to=${to("scheduled")} />
      <${Tile} label="running" value=${count(queue.running)} note=${`of ${count(queue.slots)} slots, ${count(queue.workers)} worker${queue.workers === 1 ? "" : "s"}`} to=${to("running")} />
      <${Tile} label="dead letters" value=${count(queue.counts.failed)} to=${href("dead", "", { queue: name })} />
      <${Tile} label="utilisation" value=${used[0]} note=${used[1]} />
      <${Tile} label="came in" value=${count(queue.in_rate)} note="last minute" />
      <${Tile} label="ended" value=${count(queue.out_rate)} note="last minute" />
      <${Tile} label="empty in" value=${drains(queue)[0]} note=${drains(queue)[1]} />
    </div>
    <${Section} title="The last hour"><${History} minutes=${60} asked=${past} /><//>`;
}

// ── workers ───────────────────────────────────────────────────────────────────────────────────────────────────

const SHOWN = 5; // jobs of one worker

export function Workers() {
  const asked = useAsked("api/workers", use(beat));
  return html`<${Heading} title="Workers" />
    <${Answer} asked=${asked} what="who works">${(workers) => html`<${WorkerTable} workers=${workers} whole />`}<//>`;
}

/** @param {{workers: any[], whole?: boolean}} props */
export function WorkerTable({ workers, whole }) {
  if (!workers.length) {
    return html`<${Empty} title="No worker is running">Jobs wait until one is. Start one: <code>jobsworth worker</code><//>`;
  }
  // One version for all is the usual; what differs is shown.
  const versions = new Set(workers.map((each) => each.version));
  const head = ["Worker", "Heard of", "Slots", "Runs", ...(whole ? ["Queues", "Started"] : []), "Memory", "Version"];
  return html`<${Table} label="Workers" head=${head}>
    ${workers.map((each) => html`<tr key=${each.id} data-row=${each.id}>
      <th scope="row"><a href=${href("jobs", "", { state: "running" })} title=${each.id}>${each.host || short(each.id)}</a> <span class="mute">${each.pid}</span></th>
      <td>${heard(each)}</td>
      <td><${Slots} running=${each.running} slots=${sum(each.queues)} /></td>
      <td><${Runs} jobs=${each.jobs} running=${each.running} /></td>
      ${whole && html`<td>${Object.entries(each.queues).map(([name, slots]) => html` <span key=${name} class="chip">${name} × ${slots}</span>`)}</td>
        <td><${When} at=${each.started_at} /></td>`}
      <td class="number">${bytes(each.rss)}</td>
      <td>${each.version}${versions.size > 1 && html` <span class="badge warn">differs</span>`}</td>
    </tr>`)}<//>`;
}

const sum = (queues) => Object.values(queues).reduce((all, slots) => all + slots, 0);

function heard({ silent, stopping, beat: ago }) {
  if (silent) return html`<span class="badge bad"><span aria-hidden="true">✕</span> silent for ${duration(ago)}</span>`;
  if (stopping) return html`<span class="badge warn"><span aria-hidden="true">◼</span> stopping</span>`;
  return html`<span class="badge good"><span aria-hidden="true">✓</span> ${duration(Math.round(ago))} ago</span>`;
}

/** How many of the slots are taken. */
export function Slots({ running, slots }) {
  return html`<span class="progress"><meter min="0" max=${Math.max(1, slots)} value=${running} aria-label="slots taken"></meter>
    <span class="number">${count(running)} of ${count(slots)}</span></span>`;
}

function Runs({ jobs, running }) {
  if (!running && !jobs.length) return html`<span class="mute">idle</span>`;
  const more = Math.max(running, jobs.length) - Math.min(SHOWN, jobs.length);
  return html`<ul class="plain">${jobs.slice(0, SHOWN).map((job) => html`<li key=${job.id}>
    <${JobLink} id=${job.id}>${job.task}<//> <span class="mute">began <${When} at=${job.started_at} /></span></li>`)}
    ${more > 0 && html`<li class="mute">and ${count(more)} more</li>`}</ul>`;
}
