// Queues: how deep, how old, what comes and goes, and whether the slots suffice.
import { may, useAsked } from "../api.js";
import { setPaused } from "../actions.js";
import { History, useHistory } from "../history.js";
import { count, duration, jobs } from "../format.js";
import { rowHere, useKeys } from "../keys.js";
import { beat } from "../live.js";
import { Answer, Empty, Heading, Tile } from "../parts.js";
import { href } from "../router.js";
import { html, use } from "../ui.js";
import { Slots } from "./workers.js";

export function Queues({ place }) {
  const asked = useAsked("api/queues", use(beat));
  const toggle = () => {
    const queue = asked.data?.find((each) => each.queue === (rowHere() ?? place.id));
    if (queue && may("operate")) setPaused(queue.queue, !queue.paused);
  };
  useKeys({ P: toggle });
  if (place.id) return html`<${Answer} asked=${asked} what="how the queue stands">${(all) => html`<${One} all=${all} name=${place.id} />`}<//>`;
  return html`<${Heading} title="Queues" />
    <${Answer} asked=${asked} what="how the queues stand">${(queues) => html`<${Table} queues=${queues} />`}<//>`;
}

function Table({ queues }) {
  if (!queues.length) {
    return html`<${Empty} title="No queue yet">A queue is there as soon as a task of it is enqueued, or a worker serves it.<//>`;
  }
  return html`<div class="wide" tabindex="0" role="group" aria-label="Queues"><table>
    <thead><tr><th scope="col">Queue</th><th scope="col">Waiting</th><th scope="col">Oldest</th>
      <th scope="col">Scheduled</th><th scope="col">Slots taken</th><th scope="col">In, last minute</th>
      <th scope="col">Out, last minute</th><th scope="col">Done in</th><th scope="col">Dead</th><th scope="col">Actions</th></tr></thead>
    <tbody>${queues.map((queue) => html`<tr key=${queue.queue} data-row=${queue.queue}>
      <th scope="row"><a href=${href("queues", queue.queue)}>${queue.queue}</a>${queue.paused && html` <${PausedBadge} />`}</th>
      <td class="number"><a href=${href("jobs", "", { queue: queue.queue, state: "queued" })}>${count(queue.waiting)}</a></td>
      <td class="number">${duration(queue.oldest)}</td>
      <td class="number">${count(queue.counts.scheduled)}</td>
      <td><${Slots} running=${queue.running} slots=${queue.slots} /></td>
      <td class="number">${count(queue.in_rate)}</td>
      <td class="number">${count(queue.out_rate)}</td>
      <td>${drains(queue)}</td>
      <td class="number"><a href=${href("dead", "", { queue: queue.queue })}>${count(queue.counts.failed)}</a></td>
      <td><${Pause} queue=${queue} /></td>
    </tr>`)}</tbody>
  </table></div>`;
}

const PausedBadge = () => html`<span class="badge warn"><span aria-hidden="true">‖</span> paused</span>`;

/** When nothing waits any more, said as far as it can be told. */
function drains(queue) {
  if (!queue.waiting) return html`<span class="mute">nothing waits</span>`;
  if (queue.drains_in !== null) return queue.drains_in === 0 ? "at once" : `about ${duration(queue.drains_in)}`;
  if (queue.paused) return "never, while it is paused";
  if (!queue.slots) return "never: no worker";
  return queue.missing_slots ? `${count(queue.missing_slots)} slots missing` : "cannot be told";
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
  return html`<${Heading} title=${`Queue ${name}`} beside=${html`<${Pause} queue=${queue} />`}>Queue ${name}${queue.paused && html` <${PausedBadge} />`}<//>
    ${unknown.map(([task, number]) => html`<p key=${task} class="verdict wrong">
      ${jobs(number)} need the task ${task}, which no live worker knows. They wait, nothing is lost.</p>`)}
    <div class="tiles">
      <${Tile} label="waiting" value=${count(queue.waiting)} note=${queue.oldest === null ? "" : `oldest for ${duration(queue.oldest)}`} to=${to("queued")} />
      <${Tile} label="scheduled" value=${count(queue.counts.scheduled)} to=${to("scheduled")} />
      <${Tile} label="running" value=${count(queue.running)} note=${`of ${count(queue.slots)} slots, ${count(queue.workers)} workers`} to=${to("running")} />
      <${Tile} label="dead letters" value=${count(queue.counts.failed)} to=${href("dead", "", { queue: name })} />
      <${Tile} label="came in" value=${count(queue.in_rate)} note="last minute" />
      <${Tile} label="ended" value=${count(queue.out_rate)} note="last minute" />
      <${Tile} label="done" value=${drains(queue)} />
    </div>
    <section aria-labelledby="went"><h2 id="went">The last hour</h2><${History} minutes=${60} asked=${past} /></section>`;
}
