// A job's life: the states it went through, each attempt, and what its handler has logged.
import { get, me, query } from "../api.js";
import { HELD, absolute, between, clock, count, duration, tick } from "../format.js";
import { live } from "../live.js";
import { Copy, Folded, Section, Table, Unknown, When } from "../parts.js";
import { stay } from "../router.js";
import { html, use, useEffect, useLayoutEffect, useRef, useState } from "../ui.js";

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
  return html`<${Section} title="Attempts"><${Table} label="Attempts" head=${["Number", "Outcome", "Began", "Took", "Worker", "Error"]}>
    ${[...job.attempts].reverse().map((each) => html`<tr key=${each.number}>
        <th scope="row">${each.number}</th>
        <td><span class=${`badge ${each.outcome ? OUTCOMES[each.outcome] ?? "warn" : "busy"}`}>${each.outcome ?? "running"}</span></td>
        <td><${When} at=${each.started_at} /></td>
        <td class="number">${duration(between(each.started_at, each.finished_at))}</td>
        <td class="id">${each.worker ?? "–"}</td>
        <td><${Failure} attempt=${each} /></td>
      </tr>`)}<//><//>`;
}

function Failure({ attempt }) {
  if (!attempt.error) return html`<span class="mute">–</span>`;
  return html`${attempt.place && html`<code class="place">${attempt.place}</code><br />`}
    <strong>${attempt.error.type}</strong> ${attempt.error.message}
    ${attempt.traceback && html`<${Folded} title="Traceback"><pre tabindex="0">${attempt.traceback}</pre><//>`}`;
}

// ── log: live while it runs, by attempt and by level ────────────────────────────────────────────────────────────

const LEVELS = { DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, CRITICAL: 50 };
const MOST = 2_000; // lines on the page
const OWN = "jobsworth.job"; // the logger of lines that need no name

/** Levels with names of their own are never too low: nobody here knows how grave they are. */
const grave = (level, other) => (Object.hasOwn(LEVELS, level) ? LEVELS[level] : other);

/** All lines so far; those that have come since are asked for every second while it runs. */
function useLines(job) {
  const [state, set] = useState({ lines: [], error: null, known: false, last: 0 });
  const busy = useRef(null); // at most one question under way, and one more after it
  const [round, next] = useState(0);
  const { state: trust } = use(live);
  const moment = use(tick);
  const runs = HELD.includes(job.status);
  useEffect(() => {
    if (state.known && trust !== "live" && trust !== "polling") return;
    if (busy.current) return void (busy.current.again = true);
    const mine = (busy.current = { again: false });
    get(`api/jobs/${encodeURIComponent(job.id)}/logs${query({ after: state.last, limit: MOST })}`)
      .then((found) => set({ lines: [...state.lines, ...found.lines].slice(-MOST), error: null, known: true, last: found.last }))
      .catch((error) => set((was) => ({ ...was, error })))
      .finally(() => {
        busy.current = null;
        if (mine.again) next((number) => number + 1); // what came with the end must not be missed
      });
  }, [job.id, job.status, job.attempt, trust, runs && moment, round]);
  return state;
}

/** @param {{job: any, place: import("../router.js").Place}} props */
export function Logs({ job, place }) {
  const { offers } = use(me);
  return offers?.includes("/api/jobs/{id}/logs") ? html`<${Panel} job=${job} place=${place} />` : null;
}

function Panel({ job, place }) {
  const { lines, error, known } = useLines(job);
  const level = Object.hasOwn(LEVELS, place.query.get("level")) ? place.query.get("level") : "";
  const attempts = [...new Set(lines.map((line) => line.attempt))];
  const attempt = attempts.find((each) => String(each) === place.query.get("attempt"));
  const shown = lines.filter((line) => (!level || grave(line.level, 99) >= LEVELS[level]) && (attempt === undefined || line.attempt === attempt));
  const choose = (more) => stay("jobs", job.id, { ...Object.fromEntries(place.query), ...more });
  const text = () => shown.map((line) => `${line.at} ${line.level} ${line.logger}: ${line.message}\n`).join("");
  const nothing = known ? (lines.length ? "Nothing of that level." : "It has logged nothing.") : "Reading…";
  const filters = html`<label>Level <select value=${level} onChange=${(event) => choose({ level: event.target.value })}>
        <option value="">all</option>${Object.keys(LEVELS).slice(1).map((name) => html`<option key=${name} value=${name}>${name.toLowerCase()} and up</option>`)}</select></label>
      ${attempts.length > 1 && html`<label>Attempt <select value=${String(attempt ?? "")} onChange=${(event) => choose({ attempt: event.target.value })}>
        <option value="">all</option>${attempts.map((each) => html`<option key=${each} value=${String(each)}>${each}</option>`)}</select></label>`}
      ${shown.length > 0 && html`<${Copy} label="log" text=${text} />`}`;
  return html`<${Section} title="Log" beside=${lines.length > 0 && filters}>${shown.length ? html`<${Lines} lines=${shown} all=${lines} />`
      : error ? html`<${Unknown} error=${error} what="what it has logged" />` : html`<p class="mute">${nothing}</p>`}<//>`;
}

function Lines({ lines, all }) {
  const box = useRef(null);
  const follow = useRef(true);
  const utc = use(clock) === "utc";
  useLayoutEffect(() => {
    if (follow.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.at(-1)?.place]);
  const scroll = ({ currentTarget: it }) => (follow.current = it.scrollHeight - it.scrollTop - it.clientHeight < 20);
  const many = new Set(all.map((line) => line.attempt)).size > 1;
  const gaps = missing(all);
  return html`<div class="log" ref=${box} tabindex="0" role="log" aria-live="off" aria-label="Log" onScroll=${scroll}><ol>
    ${lines.map((line, place) => html`${many && line.attempt !== lines[place - 1]?.attempt && html`<li key=${`a${line.place}`} class="mute">Attempt ${line.attempt}</li>`}
      ${gaps.has(line.place) && html`<li key=${`g${line.place}`} class="mute">… ${count(gaps.get(line.place))} older ones are not here</li>`}
      <li key=${line.place} class=${tone(line.level)} data-level=${line.level}><time datetime=${line.at}>${absolute(Date.parse(line.at), utc).slice(11, 19)}</time>
        <span class="level">${line.level}</span> <span class="message">${line.logger !== OWN && html`<span class="mute">${line.logger}: </span>`}${line.message}</span></li>`)}</ol></div>`;
}

/** How many lines are missing before which ones: a ring keeps the newest of each attempt. */
function missing(lines) {
  return new Map(lines.map((line, place) => {
    const before = lines[place - 1];
    return [line.place, line.number - (before?.attempt === line.attempt && before.number < line.number ? before.number : 0) - 1];
  }).filter(([, gone]) => gone > 0));
}

const tone = (level) => (grave(level, 0) >= 40 ? "bad" : grave(level, 0) >= 30 ? "warn" : "");
