// Jobs as rows.
import { Badge, JobLink, Progress, Table, When } from "../parts.js";
import { HELD, short } from "../format.js";
import { href } from "../router.js";
import { html, useEffect, useRef } from "../ui.js";

/**
 * @param {{jobs: any[], chosen: Set<string>, onToggle: (...ids: string[]) => void, onToggleAll: (on: boolean) => void}} props
 */
export function JobTable({ jobs, chosen, onToggle, onToggleAll }) {
  const every = useRef(null);
  const some = jobs.some((job) => chosen.has(job.id));
  const all = jobs.every((job) => chosen.has(job.id));
  useEffect(() => {
    every.current.indeterminate = some && !all;
  });
  const last = useRef(null);
  const toggle = (event, id) => {
    // Shift chooses all from the last one on.
    const ids = jobs.map((job) => job.id);
    const [from, to] = [ids.indexOf(last.current), ids.indexOf(id)].sort((one, other) => one - other);
    if (event.shiftKey && from >= 0) onToggle(...ids.slice(from, to + 1).filter((each) => chosen.has(each) === chosen.has(id)));
    else onToggle(id);
    last.current = id;
  };
  const box = html`<td><input type="checkbox" ref=${every} aria-label="Choose all on this page" checked=${all}
    onChange=${(event) => onToggleAll(event.target.checked)} /></td>`;
  return html`<${Table} kind="jobs" label="Jobs" head=${[box, "State", "Job", "Queue", "Attempt", "Created", "Ended or due", "What it says"]}>
    ${jobs.map((job) => html`<tr key=${job.id} data-row=${job.id} class=${chosen.has(job.id) ? "chosen" : ""}>
      <td><input type="checkbox" aria-label=${`Choose job ${job.id}`} checked=${chosen.has(job.id)} onClick=${(event) => toggle(event, job.id)} /></td>
      <td><${Badge} state=${job.status} /></td>
      <th scope="row"><${JobLink} id=${job.id}>${job.label || job.task}<//>
        <span class="mute under">${job.label ? `${job.task} ` : ""}${short(job.id)}</span>
        ${job.owner && html` <a class="chip" href=${href("jobs", "", { owner: job.owner })}>${job.owner}</a>`}
        ${job.tags.map((tag) => html` <a key=${tag} class="chip" href=${href("jobs", "", { tag })}>${tag}</a>`)}</th>
      <td><a href=${href("queues", job.queue)}>${job.queue}</a></td>
      <td class="number">${job.attempt} of ${job.max_attempts}</td>
      <td><${When} at=${job.created_at} /></td>
      <td><${When} at=${job.finished_at ?? (job.status === "scheduled" ? job.run_at : null)} /></td>
      <td class="says"><${Says} job=${job} /></td>
    </tr>`)}<//>`;
}

function Says({ job }) {
  if (HELD.includes(job.status)) {
    return html`<${Progress} progress=${job.progress} label=${`progress of ${job.id}`} /> <span>${job.message}</span>`;
  }
  if (job.error && job.status !== "completed") return html`<span class="bad">${job.error.type}</span> ${job.error.message}`;
  return html`<span class="mute">${job.cancel_reason ?? job.message}</span>`;
}
