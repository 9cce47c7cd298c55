// The page: what stands around every screen, which screen it is, and the keys that work everywhere.
import { get, me } from "./api.js";
import { Dialogs, Help, help } from "./dialogs.js";
import { clock } from "./format.js";
import { moveRow, useKeys } from "./keys.js";
import { begin, live, paused } from "./live.js";
import { Empty, Heading, Trust, Words } from "./parts.js";
import { go, href, place } from "./router.js";
import { html, render, saved, use, useRef } from "./ui.js";
import { Dead } from "./screens/dead.js";
import { Queues, Workers } from "./screens/floor.js";
import { Job } from "./screens/job.js";
import { Jobs } from "./screens/jobs.js";
import { Overview } from "./screens/overview.js";
import { Tasks } from "./screens/tasks.js";

const SCREENS = { overview: Overview, jobs: Jobs, queues: Queues, workers: Workers, dead: Dead, tasks: Tasks };
const NAMES = { overview: "Overview", jobs: "Jobs", queues: "Queues", workers: "Workers", dead: "Dead letters", tasks: "Tasks" };
const theme = saved("theme", "system");

function wear(name) {
  document.documentElement.dataset.theme = name;
}
theme.listen(wear);
wear(theme.value);

function Page() {
  const here = use(place);
  const main = useRef(null);
  use(me);
  useKeys({
    "?": () => help.set(!help.value), p: () => paused.set(!paused.value),
    "g o": () => go("overview"), "g j": () => go("jobs"), "g q": () => go("queues"), "g w": () => go("workers"),
    "g d": () => go("dead"), "g t": () => go("tasks"), j: () => moveRow(1), k: () => moveRow(-1),
  });
  return html`<a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), main.current.focus())}>Skip to what is shown</a>
    <header><div class="brand"><a href=${href("overview")}>Jobsworth</a></div>
      <nav aria-label="Screens"><ul>${Object.entries(NAMES).map(([name, title]) => html`<li key=${name}>
        <a href=${href(name)} aria-current=${here.screen === name ? "page" : undefined}>${title}</a></li>`)}</ul></nav>
      <div class="tools"><${Trust} /><${Tools} /></div>
    </header>
    <main id="main" ref=${main} tabindex="-1"><${Screen} place=${here} /></main>
    <${Words} /><${Dialogs} /><${Help} />`;
}

function Screen({ place: here }) {
  if (here.screen === "jobs" && here.id) return html`<${Job} key=${here.id} place=${here} />`;
  const Chosen = Object.hasOwn(SCREENS, here.screen) && SCREENS[here.screen];
  if (!Chosen) {
    return html`<${Heading} title="Not here" /><${Empty} kind="unknown" title="There is no such screen"><a href=${href("overview")}>Overview</a><//>`;
  }
  return html`<${Chosen} key=${here.screen} place=${here} />`;
}

function Tools() {
  const stopped = use(paused);
  const choice = (label, store, values) => html`<label><span class="hidden">${label}</span>
    <select value=${store.value} aria-label=${label} onChange=${(event) => store.set(event.target.value)}>
      ${values.map((value) => html`<option key=${value} value=${value}>${value}</option>`)}</select></label>`;
  use(theme);
  use(clock);
  return html`<button type="button" aria-pressed=${String(stopped)} onClick=${() => paused.set(!stopped)}>${stopped ? "Go on" : "Pause"}</button>
    ${choice("Times", clock, ["relative", "local", "utc"])}${choice("Colours", theme, ["system", "light", "dark"])}
    <button type="button" onClick=${() => help.set(true)} aria-label="Keys and help">?</button>`;
}

/** What the visitor may do comes with the overview; asked again when the server is back. */
async function greet() {
  try {
    me.set((await get("api/overview")).visitor);
  } catch {
    // The stream says what is wrong, and tries again.
  }
}

live.listen(({ state }) => state === "live" && greet());
greet();
begin();
const root = document.getElementById("page");
root.textContent = "";
render(html`<${Page} />`, root);
