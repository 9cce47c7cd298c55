// Jobsworth in the browser: watch jobs, cancel them, show them. All tabs share one stream. Types: jobsworth.d.ts
const OVER = new Set(["completed", "failed", "cancelled", "gone"]);
const HERE = new URL("..", import.meta.url).href; // where the site is mounted
const SILENT = 40_000; // ms without a word from the tab that leads, after which a visible tab takes the lead
const streams = new Map();

class Stream {
  jobs = new Map(); // id -> { token, last, ears }
  tabs = new Map(); // what other tabs want: tab -> [[id, token]]
  tab = Math.random();
  heard = 0;
  constructor(base) {
    this.base = base;
    const name = "jobsworth " + base;
    this.channel = new BroadcastChannel(name);
    this.channel.onmessage = ({ data }) => this.hear(data);
    addEventListener("pagehide", () => this.say({ tab: this.tab, wants: [] }));
    addEventListener("pageshow", () => this.tell());
    const lead = (options) => navigator.locks.request(name, options, () => this.lead()).catch(() => this.follow());
    if (!navigator.locks) return void this.lead(); // no secure context: each tab for itself
    lead({});
    setInterval(() => {
      if (!this.leads && this.jobs.size && !document.hidden && Date.now() - this.heard > SILENT) lead({ steal: true });
    }, 5_000);
  }
  say(word) {
    this.channel.postMessage(word);
  }
  hear({ tab, wants, event, who }) {
    this.heard = Date.now();
    if (event) this.told(event);
    if (who) this.tell();
    if (wants) {
      wants.length ? this.tabs.set(tab, wants) : this.tabs.delete(tab);
      if (this.leads) {
        for (const [id] of wants) if (this.jobs.get(id)?.last) this.say({ event: this.jobs.get(id).last });
        this.renew();
      }
    }
  }
  tell() {
    this.heard = Date.now();
    this.say({ tab: this.tab, wants: [...this.jobs].map(([id, { token }]) => [id, token]) });
    if (this.leads) this.renew();
  }
  add(id, token, ear) {
    const job = this.jobs.get(id) ?? { ears: new Set() };
    const known = this.jobs.has(id) && job.token === (token ?? job.token);
    job.token = token ?? job.token;
    job.ears.add(ear);
    this.jobs.set(id, job);
    if (job.last) queueMicrotask(() => ear(job.last));
    if (!known) this.tell();
    return () => {
      if (job.ears.delete(ear) && !job.ears.size && this.jobs.delete(id)) this.tell();
    };
  }
  told(event) {
    const job = this.jobs.get(event.job_id);
    if (!job || (job.last && !(event.version > job.last.version) && event.status !== "gone")) return;
    job.last = event;
    for (const ear of [...job.ears]) ear(event);
  }
  follow() {
    this.leads = false;
    this.stop?.abort();
  }
  lead() {
    this.leads = true;
    this.say({ who: 1 });
    this.renew();
    return new Promise(() => {});
  }
  renew() { // what is wanted has changed: once for all changes of this moment
    clearTimeout(this.soon);
    this.soon = setTimeout(() => {
      this.stop?.abort();
      const wanted = new Map([...this.tabs.values()].flat());
      for (const [id, { token }] of this.jobs) wanted.set(id, token ?? wanted.get(id));
      if (wanted.size) this.run(wanted, (this.stop = new AbortController()).signal);
    }, 30);
  }
  async run(wanted, signal) {
    const body = JSON.stringify({ jobs: [...wanted.keys()], tokens: [...wanted.values()].filter(Boolean) });
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        const answer = await ask(this.base + "events", undefined, { method: "POST", body, signal });
        let text = "";
        for await (const piece of chunks(answer.body.pipeThrough(new TextDecoderStream()))) {
          tries = 0;
          const frames = (text + piece).split("\n\n");
          text = frames.pop();
          this.say({});
          for (const frame of frames) {
            const [, kind, data] = /^event: (.*)\ndata: (.*)$/m.exec(frame) ?? [];
            if (kind !== "job.changed" && kind !== "end") continue;
            const event = JSON.parse(data);
            this.told(event);
            this.say({ event });
          }
        }
      } catch (error) {
        if (error.status === 501) return this.poll(wanted, signal);
      }
      await rest(Math.min(30_000, 1_000 * 2 ** tries) * (0.5 + Math.random() / 2), signal);
    }
  }
  async poll(wanted, signal) { // the server cannot stream
    for (const [id, token] of wanted) {
      (async () => {
        for (let since = -1; !signal.aborted; ) {
          try {
            const { job } = await status(id, { token, base: this.base, since, signal });
            since = job.version;
            const event = { ...job, job_id: id };
            this.told(event);
            this.say({ event });
            if (OVER.has(job.status)) return;
          } catch (error) {
            if (error.status === 404) return this.told({ job_id: id, status: "gone" });
            await rest(3_000, signal);
          }
        }
      })();
    }
  }
}

const rest = (ms, signal) =>
  new Promise((done) => {
    const timer = setTimeout(done, ms);
    for (const [on, what] of [[signal, "abort"], [globalThis, "online"]])
      on.addEventListener(what, () => done(clearTimeout(timer)), { once: true });
  });

async function* chunks(stream) {
  const reader = stream.getReader();
  for (let part; !(part = await reader.read()).done; ) yield part.value;
}

async function ask(url, token, options) {
  const headers = { "content-type": "application/json", ...(token && { authorization: "Bearer " + token }) };
  const answer = await fetch(url, { headers, ...options });
  if (answer.ok) return answer;
  const { error = answer.statusText, code } = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(error), { code, status: answer.status });
}

const place = (base, id) => `${base}jobs/${encodeURIComponent(id)}/`;

export async function status(id, { token, base = HERE, since, signal } = {}) {
  const query = since === undefined ? "" : `?since=${since}&wait=25`;
  return (await ask(place(base, id) + "status" + query, token, { signal })).json();
}

export async function cancel(id, { token, base = HERE, reason } = {}) {
  return (await ask(place(base, id) + "cancel", token, { method: "POST", body: JSON.stringify({ reason }) })).json();
}

export function watch(id, { token, base = HERE, signal, onchange } = {}) {
  if (!streams.has(base)) streams.set(base, new Stream(base));
  let news, wake, over;
  const stop = streams.get(base).add(id, token, (event) => {
    news = event;
    if (OVER.has(event.status)) close();
    onchange?.(event);
    wake?.();
  });
  const close = () => {
    over = true;
    stop();
    wake?.();
  };
  signal?.addEventListener("abort", close, { once: true });
  const changes = (async function* () {
    try {
      while (news || !over) {
        if (!news) await new Promise((done) => (wake = done));
        const event = news;
        news = undefined;
        if (event) yield event;
      }
    } finally {
      close();
    }
  })();
  return Object.assign(changes, { close, cancel: (reason) => cancel(id, { token, base, reason }) });
}

const make = (name, part, more = {}) => {
  const made = Object.assign(document.createElement(name), more);
  made.setAttribute("part", part);
  return made;
};

const sheet = typeof CSSStyleSheet === "function" ? new CSSStyleSheet() : null;
sheet?.replaceSync(`:host{display:grid;grid-template-columns:1fr auto;gap:.25em .75em;align-items:center;
font:inherit;color-scheme:light dark}[part=bar]{grid-column:1/-1;height:.5em;border-radius:1em;overflow:hidden;
background:light-dark(#dde,#334)}[part=fill]{display:block;height:100%;width:var(--done,0);border-radius:inherit;
background:var(--job-colour,light-dark(#2457d6,#8ab4ff));transition:width .2s}:host([status=failed]){--job-colour:
light-dark(#b3261e,#ffb4ab)}:host([status=cancelled]){--job-colour:light-dark(#666,#aaa)}[part=fill].unknown{width:30%;
animation:go 1.5s infinite alternate}@keyframes go{to{margin-left:70%}}@media(prefers-reduced-motion:reduce){
[part=fill]{transition:none;animation:none}}[part=cancel]{font:inherit;min-height:24px}`);

export class JobProgress extends HTMLElement {
  static observedAttributes = ["job", "token", "base"];
  static words = {
    scheduled: "Waiting for its time", queued: "Waiting", running: "Running", cancelling: "Stopping",
    completed: "Done", failed: "Failed", cancelled: "Cancelled", gone: "Not available", cancel: "Cancel",
    left: (seconds) => (seconds < 60 ? `about ${Math.ceil(seconds)} s left` : `about ${Math.ceil(seconds / 60)} min left`),
  };
  connectedCallback() {
    if (!this.shadowRoot) {
      const root = this.attachShadow({ mode: "open" });
      if (sheet) root.adoptedStyleSheets = [sheet];
      this.bar = make("span", "bar", { role: "progressbar", ariaValueMin: 0, ariaValueMax: 100 });
      this.fill = make("span", "fill");
      this.line = make("span", "message", { role: "status" });
      this.button = make("button", "cancel", { type: "button", hidden: true, onclick: () => this.cancel() });
      this.bar.append(this.fill);
      root.append(this.bar, this.line, this.button);
    }
    this.begin();
  }
  disconnectedCallback() {
    this.watching?.close();
    this.watching = null;
  }
  attributeChangedCallback() {
    if (this.bar && this.isConnected) this.begin();
  }
  begin() {
    this.watching?.close();
    const [id, token, base] = ["job", "token", "base"].map((name) => this.getAttribute(name) ?? undefined);
    if (!id) return;
    const onchange = (event) => this.show(event);
    this.watching = watch(id, { token, base: base && new URL(base, document.baseURI).href, onchange });
  }
  show(event) {
    const { status, progress: { percent } = {}, message, error, eta } = event;
    const { words } = JobProgress;
    const done = status === "completed" ? 100 : percent;
    const active = status === "running" || status === "cancelling";
    this.setAttribute("status", status);
    this.fill.style.setProperty("--done", `${done ?? 0}%`);
    this.fill.classList.toggle("unknown", active && done == null);
    this.bar.ariaLabel = this.getAttribute("label") ?? "Progress";
    this.bar.ariaValueNow = done == null ? null : Math.round(done);
    this.bar.ariaValueText = this.line.textContent = [
      words[status] ?? status, done != null && active && `${Math.round(done)} %`,
      status === "failed" ? error : message, active && eta && words.left(eta.seconds),
    ].filter(Boolean).join(" · ");
    this.button.textContent = words.cancel;
    this.button.hidden = OVER.has(status) || this.hasAttribute("no-cancel");
    this.button.disabled = status === "cancelling";
    this.dispatchEvent(new CustomEvent("change", { detail: event, bubbles: true }));
  }
  async cancel() {
    this.button.disabled = true;
    try {
      await this.watching?.cancel();
    } catch (error) {
      this.line.textContent = error.message;
      this.button.disabled = false;
    }
  }
}
globalThis.customElements?.get("job-progress") ?? globalThis.customElements?.define("job-progress", JobProgress);
