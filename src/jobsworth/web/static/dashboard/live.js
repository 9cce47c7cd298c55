// News as they come: one stream while this page can be seen, and whether what is shown can be trusted.
import { BASE, Refusal, get, query, refusal } from "./api.js";
import { Store } from "./ui.js";

const SILENT = 35_000; // ms; the server says something every 15 s
const LONGEST = 15_000; // ms between two attempts to come back
const RENEW = 1_500; // ms between two streams, where only what is watched has changed
const EVERY = 1_000; // ms between two readings of what is shown
const POLL = 5_000; // ms, where the server cannot stream, and for ages that only time changes

/** connecting, live, stale (the server is away), away (its store is), paused, polling or refused; and since when. */
export const live = new Store({ state: "connecting", since: Date.now() });
/** Changes when what is shown should be read again. */
export const beat = new Store(0);
/** The newest event of each job that is watched. */
export const news = new Store(new Map());
/** Whether the visitor has stopped the news. */
export const paused = new Store(false);

let watched = new Set();
let renewed = 0;
let stop = null;
let soon = 0;
let beaten = 0;
let apart = EVERY;

/** Let everything that is shown be read again, at most once a second; after a quiet while the second time comes sooner. */
export function hint() {
  if (soon) return;
  soon = setTimeout(() => {
    soon = 0;
    apart = Date.now() - beaten > 2 * EVERY ? EVERY / 2 : EVERY;
    beaten = Date.now();
    beat.set(beat.value + 1);
  }, Math.max(0, beaten + apart - Date.now()));
}

/** Hear of these jobs too. Those of before may go on being told of until others are asked for. @param {string[]} ids */
export function watch(ids) {
  if (ids.every((id) => watched.has(id))) return;
  watched = new Set(ids);
  news.set(new Map([...news.value].filter(([id]) => watched.has(id))));
  // A busy list changes all the time: its stream is not to begin anew with every job.
  renew(Math.max(20, renewed + RENEW - Date.now()));
}

/** Begin, and go on for as long as the page lives. */
export function begin() {
  document.addEventListener("visibilitychange", () => renew());
  addEventListener("pagehide", () => stop?.abort());
  addEventListener("pageshow", (event) => event.persisted && renew());
  addEventListener("online", () => renew());
  paused.listen(() => renew());
  setInterval(() => ["live", "polling"].includes(live.value.state) && hint(), POLL);
  renew();
}

function turn(state, error) {
  if (live.value.state !== state) live.set({ state, since: Date.now(), error });
}

let renewing = 0;
function renew(after = 20) {
  clearTimeout(renewing);
  renewing = setTimeout(() => {
    renewed = stop ? Date.now() : 0; // the first one knows nothing yet of what is shown
    stop?.abort();
    stop = new AbortController();
    if (!paused.value && !document.hidden) return void run(stop.signal);
    soon = clearTimeout(soon); // what is shown stands still from here on, but for what the visitor does
    turn("paused");
  }, after);
}

async function run(signal) {
  for (let tries = 0; !signal.aborted; tries++) {
    try {
      await read(signal, () => (tries = 0));
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 501) return poll(signal);
      turn(error.status === 401 || error.status === 403 ? "refused" : "stale", error);
    }
    if (!signal.aborted) await rest(Math.min(LONGEST, 500 * 2 ** tries) * (0.5 + Math.random() / 2), signal);
  }
}

/** One connection, for as long as it lasts. */
async function read(signal, arrived) {
  const own = new AbortController();
  const both = AbortSignal.any([own.signal, signal]);
  let heard = Date.now();
  const guard = setInterval(() => Date.now() - heard > SILENT && own.abort(), 1_000);
  try {
    const answer = await fetch(BASE + "events" + query({ jobs: [...watched].join(), stats: "true" }), { signal: both });
    if (!answer.ok) throw await refusal(answer);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      heard = Date.now();
      if (done) break;
      arrived();
      const frames = (text + value).split("\n\n");
      text = frames.pop();
      if (live.value.state !== "live" && live.value.state !== "away") {
        turn("live");
        hint();
      }
      frames.forEach(tell);
      if (live.value.state === "away") return await back(both);
    }
    // The server ended it, as it does once an hour or when it stops: come back.
    throw new Refusal(0);
  } finally {
    clearInterval(guard);
    own.abort();
  }
}

function tell(frame) {
  // Only \n ends a line here; to "." and "$" U+2028 would too, which texts may hold.
  const [, kind, data] = /^event: ([^\n]*)\ndata: ([^\n]*)/m.exec(frame) ?? [];
  if (!kind) return;
  if (kind === "away") return void turn("away");
  const said = JSON.parse(data);
  if (kind === "job.changed" || (kind === "end" && said.job_id)) {
    const known = news.value.get(said.job_id);
    if (known && !(said.version > known.version) && said.status !== "gone") return;
    news.set(new Map(news.value).set(said.job_id, said));
    if (known && known.status === said.status) return; // progress is shown from the event itself
  }
  hint();
}

/** Wait until the store answers again; then the stream begins anew. */
async function back(signal) {
  while (!signal.aborted) {
    await rest(2_000, signal);
    try {
      await get("api/overview", signal);
      return turn("connecting");
    } catch (error) {
      if (error.status !== 503) throw error;
    }
  }
}

async function poll(signal) {
  while (!signal.aborted) {
    try {
      await get("livez", signal);
      turn("polling");
      hint();
    } catch (error) {
      if (signal.aborted) return;
      turn("stale", error);
    }
    await rest(POLL, signal);
  }
}

function rest(ms, signal) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      done();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
