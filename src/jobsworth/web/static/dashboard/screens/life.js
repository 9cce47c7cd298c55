// A job's life: the states it went through, and each attempt.
import { between, duration } from "../format.js";
import { Folded, When } from "../parts.js";
import { html } from "../ui.js";

const OUTCOMES = { succeeded: "good", failed: "bad", timed_out: "bad", lost: "bad", cancelled: "mute", snoozed: "calm", released: "calm" };

/** Moments in the order they came, as far as they are kept. @param {any} job */
export function moments(job) {
  const found = [{ at: job.created_at, word: "created", tone: "calm" }];
  for (const each of job.attempts) {
    const number = job.max_attempts > 1 || job.attempts.length > 1 ? `, attempt ${each.number}` : "";
    if (each.started_at) found.push({ at: each.started_at, word: `running${number}`, tone: "busy" });
    if (each.finished_at) {
      found.push({ at: each.finished_at, word: `${each.outcome ?? "ended"}${number}`, tone: OUTCOMES[each.outcome] ?? "warn", took: between(each.started_at, each.finished_at) });
    }
  }
  const last = found.at(-1);
  if (job.cancel_requested && !job.finished_at) found.push({ at: job.updated_at, word: "asked to stop", tone: "warn" });
  if (job.status === "scheduled" && job.run_at) found.push({ at: job.run_at, word: job.attempt ? "next attempt" : "due", tone: "calm", coming: true });
  if (job.status === "queued") found.push({ at: null, word: "waits for a worker", tone: "calm", coming: true });
  const ended = last.word.split(",")[0];
  if (job.finished_at && ended !== job.status) {
    found.push({ at: job.finished_at, word: job.status, tone: { completed: "good", failed: "bad" }[job.status] ?? "mute" });
  }
  return found;
}

export function Life({ job }) {
  return html`<ol class="life">${moments(job).map(({ at, word, tone, took, coming }, place) => html`<li key=${place} class=${`${tone}${coming ? " coming" : ""}`}>
    <span class="word">${word}</span> ${at && html`<${When} at=${at} />`} ${took !== undefined && took !== null && html`<span class="mute">after ${duration(took)}</span>`}</li>`)}</ol>`;
}

export function Attempts({ job }) {
  if (!job.attempts.length) return null;
  return html`<section aria-labelledby="attempts"><h2 id="attempts">Attempts</h2>
    <div class="wide" tabindex="0" role="group" aria-label="Attempts"><table>
      <thead><tr><th scope="col">Number</th><th scope="col">Outcome</th><th scope="col">Began</th><th scope="col">Took</th>
        <th scope="col">Worker</th><th scope="col">Error</th></tr></thead>
      <tbody>${[...job.attempts].reverse().map((each) => html`<tr key=${each.number}>
        <th scope="row">${each.number}</th>
        <td><span class=${`badge ${OUTCOMES[each.outcome] ?? "warn"}`}>${each.outcome ?? "running"}</span></td>
        <td><${When} at=${each.started_at} /></td>
        <td class="number">${duration(between(each.started_at, each.finished_at))}</td>
        <td class="id">${each.worker ?? "–"}</td>
        <td><${Failure} attempt=${each} /></td>
      </tr>`)}</tbody>
    </table></div></section>`;
}

function Failure({ attempt }) {
  if (!attempt.error) return html`<span class="mute">–</span>`;
  return html`${attempt.place && html`<code class="place">${attempt.place}</code><br />`}
    <strong>${attempt.error.type}</strong> ${attempt.error.message}
    ${attempt.traceback && html`<${Folded} title="Traceback"><pre tabindex="0">${attempt.traceback}</pre><//>`}`;
}
