// See jobsworth.d.ts. One tab, the leader, reads for all.

const { url } = import.meta;
const OVER = ["completed", "failed", "cancelled", "gone"];

export const settings = {
  site: new URL("..", url).href,
  gone: "not available",
  cancel: "Cancel",
  left: (s) => `about ${s < 90 ? Math.ceil(s) + " s" : Math.round(s / 60) + " min"} left`,
};

const watches = new Set();
const channel = new BroadcastChannel(navigator.locks ? url : Math.random());
let wanted = [];
let leads, silence, soon, stop;

export function watch(id, { token, onchange } = {}) {
  let wake;
  const job = {
    id,
    token,
    hear(event) {
      job.last = event;
      if (OVER.includes(event.status)) job.close();
      wake?.();
      Promise.resolve(event).then(onchange);
    },
    close() {
      if (watches.delete(job) && !watches.size) tell();
      wake?.();
    },
    cancel: (reason) => cancel(id, { token, reason }),
    async *[Symbol.asyncIterator]() {
      try {
        for (let seen; ; ) {
          if (seen !== job.last) yield (seen = job.last);
          else if (watches.has(job)) await new Promise((done) => (wake = done));
          else return;
        }
      } finally {
        job.close();
      }
    },
  };
  watches.add(job);
  tell();
  return job;
}

export const cancel = (id, { token, reason } = {}) =>
  ask(at(id) + "/cancel", token, { method: "POST", body: JSON.stringify({ reason }) });

const at = (id) => "jobs/" + encodeURIComponent(id);

async function ask(path, token, options) {
  const headers = { "content-type": "application/json", ...(token && { authorization: "Bearer " + token }) };
  const answer = await fetch(settings.site + path, { headers, ...options });
  if (answer.ok) return answer;
  const { error } = await answer.json();
  throw Object.assign(new Error(error), { status: answer.status });
}

function say(word) {
  channel.postMessage(word);
  awake();
}

// A leader speaks every 30 s, or is frozen.
function awake() {
  clearTimeout(silence);
  silence = setTimeout(() => watches.size && (leads ? tell() : compete({ steal: true })), 40_000);
}

// After a change all say what they want, and the leader begins anew.
function tell(all = true) {
  wanted = [...watches].map(({ id, token }) => [id, token]);
  say({ all: !!all, wants: wanted });
  plan();
}

function plan() {
  clearTimeout(soon);
  soon = setTimeout(() => {
    stop?.abort();
    stop = new AbortController();
    const wants = leads ? [...wanted] : [];
    while (wants.length) follow(wants.splice(0, 50), stop.signal); // fits into a header
  }, 50);
}

async function follow(wants, signal) {
  const jobs = new Map(wants.map(([id]) => [id, -1])); // not ended yet
  const token = wants.map(([, token]) => token).filter(Boolean).join();
  let source = stream;
  let tries = 0;
  const pass = (event) => {
    tries = 0;
    told(event);
    say({ event });
    if (OVER.includes(event.status)) jobs.delete(event.job_id);
  };
  while (jobs.size && !signal.aborted) {
    try {
      await source(pass, jobs, token, { signal });
    } catch (error) {
      if (error.status) source = poll;
    }
    say({});
    await new Promise((done) => setTimeout(done, Math.random() * Math.min(30, 2 ** tries++) * 1_000));
  }
}

async function stream(pass, jobs, token, options) {
  const { body } = await ask("events?jobs=" + encodeURIComponent([...jobs.keys()]), token, options);
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = "", part; !(part = await reader.read()).done; ) {
    const frames = (text + part.value).split("\n\n");
    text = frames.pop();
    for (const frame of frames) pass(JSON.parse(frame.split("\ndata: ")[1] ?? "{}")); // {}: alive
  }
}

// Where there is no stream.
async function poll(pass, jobs, token, options) {
  for (const [job_id, version] of jobs) {
    try {
      const answer = await ask(`${at(job_id)}/status?since=${version}&wait=${jobs.size > 1 ? 0 : 25}`, token, options);
      const { job } = await answer.json();
      jobs.set(job_id, job.version);
      pass({ ...job, job_id, error: job.error?.message });
    } catch (error) {
      if (error.status > 400 && error.status < 405) pass({ job_id, status: "gone" });
      else throw error;
    }
  }
}

function told(event) {
  for (const job of watches) {
    if (job.id === event.job_id && !(event.version <= job.last?.version)) job.hear(event);
  }
}

function lead() {
  leads = true;
  tell();
  return new Promise(() => {}); // for good
}

async function compete(options) {
  try {
    await navigator.locks.request(url, options, lead);
  } catch {
    leads = !leads; // stolen, or there are none
    if (!leads) compete({});
    plan();
  }
}

channel.onmessage = ({ data: { all, wants, event = {} } }) => {
  awake();
  if (all) tell(false);
  if (wants) {
    wanted.push(...wants);
    plan();
  }
  told(event);
};
addEventListener("online", tell);
addEventListener("visibilitychange", tell);
compete({});

const sheet = new CSSStyleSheet();
sheet.replaceSync(`
  :host(:not([hidden])) { display: flex; flex-wrap: wrap; gap: .3em 1em; align-items: start }
  [part=bar] { flex: 100% }
  [part=state]::first-letter { text-transform: uppercase }
  [part=message] { flex: 1 }
  [part=cancel] { font: inherit; min-height: 24px }
  @media (prefers-reduced-motion) { :indeterminate { appearance: none } }
`);

customElements.define("job-progress", class extends HTMLElement {
  static observedAttributes = ["job", "token"];

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    const make = (name, part) => root.appendChild(Object.assign(document.createElement(name), { part }));
    const text = (...parts) => parts.filter(Boolean).join(" · ");
    const bar = make("progress", "bar");
    const state = make("output", "state");
    const more = make("span", "message");
    const button = make("button", "cancel");
    bar.max = 100;
    state.tabIndex = -1;
    button.hidden = true;
    button.onclick = () => this.watching.cancel().catch((error) => (more.textContent = error.message));
    this.show = (event) => {
      const { status, progress, message, error, eta } = event;
      const label = this.getAttribute("label");
      const done = status === "completed" ? 100 : progress?.percent;
      this.setAttribute("status", status);
      bar.value = done ?? 0;
      if (done == null && status === "running") bar.removeAttribute("value");
      bar.ariaLabel = state.textContent = text(settings[status] ?? status, label, status === "failed" && error);
      more.textContent = text(done != null && `${Math.round(done)} %`, message, eta && settings.left(eta.seconds));
      button.textContent = settings.cancel;
      button.ariaLabel = text(settings.cancel, label);
      const hidden = OVER.includes(status) || status === "cancelling";
      if (hidden && root.activeElement) state.focus();
      button.hidden = hidden;
      this.dispatchEvent(new CustomEvent("jobchange", { detail: event, bubbles: true }));
    };
  }

  connectedCallback() {
    this.watching?.close();
    const job = this.isConnected && this.getAttribute("job");
    if (job) this.watching = watch(job, { token: this.getAttribute("token"), onchange: this.show });
  }

  disconnectedCallback() {
    this.connectedCallback();
  }

  attributeChangedCallback() {
    this.connectedCallback();
  }
});
