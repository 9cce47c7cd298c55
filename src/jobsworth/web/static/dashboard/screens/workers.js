// Workers: who is there, what they run, and whether they were heard of lately.
import { useAsked } from "../api.js";
import { bytes, count, duration, short } from "../format.js";
import { beat } from "../live.js";
import { Answer, Empty, Heading, JobLink, When } from "../parts.js";
import { href } from "../router.js";
import { html, use } from "../ui.js";

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
  return html`<div class="wide" tabindex="0" role="group" aria-label="Workers"><table data-rows>
    <thead><tr>
      <th scope="col">Worker</th><th scope="col">Heard of</th><th scope="col">Slots</th><th scope="col">Runs</th>
      ${whole && html`<th scope="col">Queues</th><th scope="col">Up for</th>`}
      <th scope="col">Memory</th><th scope="col">Version</th>
    </tr></thead>
    <tbody>${workers.map((each) => html`<tr key=${each.id} data-row=${each.id}>
      <th scope="row"><a href=${href("jobs", "", { state: "running" })} title=${each.id}>${each.host || short(each.id)}</a> <span class="mute">${each.pid}</span></th>
      <td>${heard(each)}</td>
      <td><${Slots} running=${each.running} slots=${sum(each.queues)} /></td>
      <td><${Runs} jobs=${each.jobs} running=${each.running} /></td>
      ${whole && html`<td>${Object.entries(each.queues).map(([name, slots]) => html`<span key=${name} class="chip">${name} × ${slots}</span>`)}</td>
        <td><${When} at=${each.started_at} /></td>`}
      <td class="number">${bytes(each.rss)}</td>
      <td>${each.version}${versions.size > 1 && html` <span class="badge warn">differs</span>`}</td>
    </tr>`)}</tbody>
  </table></div>`;
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
    <${JobLink} id=${job.id}>${job.task}<//> <span class="mute">since <${When} at=${job.started_at} /></span></li>`)}
    ${more > 0 && html`<li class="mute">and ${count(more)} more</li>`}</ul>`;
}
