// One job: where it stands and why, what was tried, what went in and came out, and what can be done.
import { BASE, may, useAsked } from "../api.js";
import { cancel, remove, retry, retryEdited } from "../actions.js";
import { curl, pythonCall, write } from "../exact.js";
import { HELD, LIVE, between, count, duration, short } from "../format.js";
import { useKeys } from "../keys.js";
import { beat, news, watch } from "../live.js";
import { Answer, Badge, Copy, Folded, Heading, Progress, Section, When } from "../parts.js";
import { go, href } from "../router.js";
import { actionsFor } from "../filter.js";
import { html, use, useEffect } from "../ui.js";
import { Attempts, Life, Logs } from "./life.js";

export function Job({ place }) {
  const asked = useAsked(`api/jobs/${encodeURIComponent(place.id)}`, use(beat));
  useEffect(() => watch([place.id]), [place.id]);
  return asked.data === null
    ? html`<${Heading} title=${`Job ${short(place.id)}`} /><${Answer} asked=${asked} what="how the job stands" />`
    : html`<${Whole} whole=${asked.data} place=${place} />`;
}

function Whole({ whole, place }) {
  const told = use(news).get(whole.job.id);
  const job = told?.version > whole.job.version
    ? { ...whole.job, status: told.status, progress: told.progress, message: told.message ?? whole.job.message } : whole.job;
  const can = actionsFor(job.status);
  const given = whole.arguments;
  const act = {
    R: () => can.retry && may("operate") && retry(job.id),
    C: () => can.cancel && may("operate") && cancel(job.id),
    D: async () => can.delete && may("admin") && (await remove(job.id)) && go("jobs"),
    E: () => can.retry && may("operate") && given !== null && retryEdited(job.id, write(given)),
  };
  useKeys(act);
  const button = (key, level, text, usable, danger) => may(level) && html`<button type="button" class=${danger ? "danger" : ""}
    disabled=${!usable} onClick=${act[key]}>${text}</button>`;
  const body = write({ task: job.task, arguments: given ?? {} }, "");
  return html`<${Heading} title=${`${job.label || job.task} ${short(job.id)}`} beside=${html`<${Badge} state=${job.status} />`}>${job.label || job.task}<//>
    <p class="id">${job.id}</p>
    <div class="bar"><span class="buttons">
      ${button("R", "operate", "Retry", can.retry)}
      ${button("E", "operate", "Edit and retry", can.retry && given !== null)}
      ${button("C", "operate", "Cancel", can.cancel, true)}
      ${button("D", "admin", "Delete", can.delete, true)}
      <${Copy} label="as curl" text=${() => curl(`${BASE}api/jobs`, body)} />
      <${Copy} label="as Python" text=${() => pythonCall(job.task, given)} />
      <${Copy} label="id" text=${() => job.id} />
    </span></div>
    <${Now} job=${job} eta=${(job !== whole.job && told.eta) || whole.eta} />
    <${Why} job=${job} />
    <${Trouble} job=${job} />
    ${job.started_at && html`<${Logs} job=${job} place=${place} />`}
    <div class="columns">
      <${Section} title="Life"><${Life} job=${job} /><//>
      <${Section} title="Facts"><${Facts} job=${job} signature=${whole.signature} /><//>
    </div>
    <${Attempts} job=${job} />
    <div class="columns">
      <${Value} title="Arguments" value=${given} none=${given === null ? "They cannot be read." : null} />
      <${Value} title="Result" value=${job.result} none=${job.status === "completed" ? null : "There is none before it has completed."} />
      ${Object.keys(job.meta ?? {}).length > 0 && html`<${Value} title="Meta" value=${job.meta} />`}
    </div>`;
}

/** What goes on at this moment. */
function Now({ job, eta }) {
  if (!HELD.includes(job.status)) return null;
  return html`<section class="now" aria-label="Progress">
    <${Progress} progress=${job.progress} label="progress" />
    <p>${job.message ?? "It has not said how far it is."}</p>
    <p class="mute">began <${When} at=${job.started_at} />${job.status === "running" && html` · <span data-eta=${eta?.basis ?? "none"}>${ends(eta)}</span>`}</p>
  </section>`;
}

/** When it may be done, and from what that is known. */
function ends(eta) {
  if (!eta) return "when it will be done cannot be told: too few earlier runs, and too little progress";
  if (eta.basis === "history") {
    return `half of such runs are done in ${duration(eta.seconds)}, 9 of 10 in ${duration(eta.high)}, going by ${count(eta.runs)} earlier ones`;
  }
  return `done in about ${duration(eta.seconds)}, likely in ${duration(eta.low)} to ${duration(eta.high)}, if it goes on as it went so far`;
}

/** Why it does not run, in the server's words. */
function Why({ job }) {
  const asked = useAsked(LIVE.includes(job.status) ? `api/jobs/${encodeURIComponent(job.id)}/why` : null, use(beat));
  const runs = HELD.includes(job.status);
  const findings = (asked.data?.findings ?? []).filter((each) => !runs || each.word === "worker-lost");
  if (asked.data?.state !== job.status || !findings.length) return null;
  return html`<${Section} title=${runs ? "Its worker is lost" : "Why it is not running"}><ul class="alerts">${findings.map((each) => html`<li key=${each.word} data-why=${each.word}>
      <strong>${each.text}</strong>; ${each.do}</li>`)}</ul><//>`;
}

/** What went wrong last: the user's own line first. */
function Trouble({ job }) {
  if (!job.error || job.status === "completed") return null;
  const last = [...job.attempts].reverse().find((each) => each.error);
  return html`<${Section} kind="trouble" title=${job.status === "failed" ? "Why it was given up" : "What went wrong last"}>
    ${last?.place && html`<p class="place"><code>${last.place}</code></p>`}
    <p><strong>${job.error.type}</strong> ${job.error.message} <span class="chip">${job.error.reason}</span></p>
    ${last?.traceback && html`<${Folded} title="Traceback"><pre tabindex="0">${last.traceback}</pre><//>`}<//>`;
}

function Facts({ job, signature }) {
  const ran = between(job.started_at, job.finished_at);
  const facts = [
    ["Task", html`<a href=${href("jobs", "", { task: job.task })}>${job.task}</a>`], ["Signature", signature && html`<code>${signature}</code>`],
    ["Queue", html`<a href=${href("queues", job.queue)}>${job.queue}</a>`], ["Priority", job.priority],
    ["Attempt", `${job.attempt} of ${job.max_attempts}`], ["Errors", job.errors || null], ["Crashes", job.crashes || null],
    ["Owner", job.owner && html`<a href=${href("jobs", "", { owner: job.owner })}>${job.owner}</a>`],
    ["Tags", job.tags.length > 0 && job.tags.map((tag) => html`<a key=${tag} class="chip" href=${href("jobs", "", { tag })}>${tag}</a>`)],
    ["Key", job.key], ["Worker", job.worker], ["Timeout", job.timeout !== null && job.timeout !== undefined ? duration(Number(job.timeout)) : null],
    ["Last run took", ran !== null ? duration(ran) : null], ["Expires", job.expires_at && html`<${When} at=${job.expires_at} />`],
    ["Cancelled because", job.cancel_reason], ["Version", job.version],
  ];
  return html`<dl>${facts.filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "").map(([name, value]) =>
    html`<div key=${name}><dt>${name}</dt><dd>${value instanceof Object ? value : String(value)}</dd></div>`)}</dl>`;
}

/** A value as JSON, digit for digit. */
function Value({ title, value, none }) {
  const text = write(value);
  const missing = none && (value === null || value === undefined);
  return html`<${Section} title=${title} beside=${!missing && html`<${Copy} label=${title.toLowerCase()} text=${() => text} />`}>
    ${missing ? html`<p class="mute">${none}</p>` : html`<pre class="json" tabindex="0" role="group" aria-label=${title}>${text}</pre>`}<//>`;
}
