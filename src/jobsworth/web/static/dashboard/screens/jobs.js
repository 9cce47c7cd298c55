// Jobs: found by state and filter, chosen one by one or all that match, and acted on together.
import { get, may, query, useAsked } from "../api.js";
import { bulk, bulkWhere } from "../actions.js";
import { KINDS, exportJobs } from "../export.js";
import { FilterBar } from "../filterbar.js";
import { actionsFor, filterOf, filters, read, written } from "../filter.js";
import { HELD, STATES, count, jobs as jobsWord } from "../format.js";
import { rowHere, useKeys } from "../keys.js";
import { beat, news, watch } from "../live.js";
import { Answer, Empty, Heading, say, trying } from "../parts.js";
import { go, href, stay } from "../router.js";
import { html, use, useEffect, useMemo, useState } from "../ui.js";
import { SaveView, Views } from "../views.js";
import { JobTable } from "./jobtable.js";

const PAGE = 50;

export function Jobs({ place }) {
  const filter = useMemo(() => filterOf(place.query), [place.text]);
  const beyond = Number(place.query.get("beyond")) || 0;
  const [chosen, choose] = useState(() => new Set());
  const [all, chooseAll] = useState(false);
  const held = chosen.size > 0;
  const asked = useAsked(`api/jobs${query({ ...filter, limit: PAGE, beyond, count: "true" })}`, useHeld(held));
  const queues = useAsked("api/queues", use(beat)).data; // the stream tells of what lives; tabs count what has ended, too
  const known = useKnown(asked.data, queues);
  const shown = useFresh(asked.data?.jobs);
  const none = () => (choose(new Set()), chooseAll(false));
  useEffect(none, [place.text]);
  const moving = shown.filter((job) => HELD.includes(job.status)).map((job) => job.id);
  useEffect(() => watch(moving), [moving.join()]);
  const act = async (action) => {
    const ids = held ? [...chosen] : [rowHere()].filter(Boolean);
    if (!ids.length || !may(action === "delete" ? "admin" : "operate")) return undefined;
    if (!all) {
      const fit = shown.filter((job) => ids.includes(job.id) && actionsFor(job.status)[action]).map((job) => job.id);
      return fit.length ? (await bulk(action, fit)) && none() : say("Nothing here is in a state for that", "bad");
    }
    let expect = 0;
    const told = await trying(async () => void (expect = await matching(action, filter)));
    return told && (await bulkWhere(action, filter, expect)) && none();
  };
  const toggle = (...ids) => {
    const next = new Set(chosen);
    for (const id of ids) if (!next.delete(id)) next.add(id);
    chooseAll(false);
    choose(next);
  };
  useKeys({
    x: () => rowHere() && toggle(rowHere()),
    R: () => act("retry"), C: () => act("cancel"), D: () => act("delete"), ...(held ? { Escape: none } : {}),
  });
  return html`<${Heading} title="Jobs" /><${Views} place=${place} />
    <${Tabs} filter=${filter} queues=${queues} />
    <${FilterBar} text=${written(place.query)} known=${known} onFilter=${(text) => search(text, filter)} />
    <${Answer} asked=${asked} what="which jobs there are">${(page) => html`
      <${Bar} place=${place} page=${page} shown=${shown} chosen=${chosen} all=${all} held=${held} filter=${filter}
        onAll=${() => chooseAll(true)} onNone=${none} onAct=${act} />
      ${shown.length ? html`<${JobTable} jobs=${shown} chosen=${chosen} onToggle=${toggle}
          onToggleAll=${(on) => (choose(new Set(on ? shown.map((job) => job.id) : [])), chooseAll(false))} />`
        : html`<${Nothing} filter=${filter} beyond=${beyond} />`}
      <${Pages} page=${page} beyond=${beyond} filter=${filter} />`}<//>`;
}

/** How many such an action would be for; the server checks it once more. */
async function matching(action, filter) {
  const states = Object.keys(STATES).filter((state) => actionsFor(state)[action] || (action === "cancel" && state === "cancelling"));
  const meant = filter.state.length ? filter.state.filter((state) => states.includes(state))
    : action === "retry" ? ["failed", "cancelled"] : states;
  return meant.length ? (await get(`api/jobs${query({ ...filter, state: meant, limit: 1, count: "true" })}`)).count : 0;
}

/** The beat, but standing still while jobs are chosen: a list must not move under the hand. */
function useHeld(held) {
  const now = use(beat);
  const [last, keep] = useState(now);
  useEffect(() => {
    if (!held) keep(now);
  }, [now, held]);
  return held ? last : now;
}

/** Jobs as listed, with what the stream has told since. */
function useFresh(listed) {
  const told = use(news);
  return (listed ?? []).map((job) => {
    const event = told.get(job.id);
    if (!event || !(event.version > job.version)) return job;
    return { ...job, status: event.status, progress: event.progress, message: event.message ?? job.message, version: event.version };
  });
}

/** Values that completion offers. */
function useKnown(page, queues) {
  const tasks = useAsked("api/tasks", 0).data;
  return useMemo(() => ({
    queue: (queues ?? []).map((each) => each.queue),
    task: (tasks ?? []).map((each) => each.task),
    tag: [...new Set((page?.jobs ?? []).flatMap((job) => job.tags))],
    owner: [...new Set((page?.jobs ?? []).map((job) => job.owner).filter(Boolean))],
  }), [tasks, queues, page]);
}

function search(text, filter) {
  const found = read(text);
  go("jobs", "", { ...found, state: found.state.length ? found.state : filter.state });
}

/** What a view is called as long as nobody says otherwise. */
const viewName = ({ state, ...rest }) => [...state, ...Object.entries(rest).map(([name, value]) => (name === "q" ? value : `${name}:${value}`))].join(" ");

function Tabs({ filter, queues }) {
  const counted = queues?.filter((each) => !filter.queue || each.queue === filter.queue);
  const of = (state) => counted?.reduce((sum, each) => sum + (each.counts[state] ?? 0), 0);
  const { state: chosen, ...rest } = filter;
  const here = chosen.join();
  const all = counted && Object.keys(STATES).reduce((sum, state) => sum + of(state), 0);
  const tab = (state, number) => html`<li key=${state}><a href=${href("jobs", "", { ...rest, state })}
    aria-current=${here === state ? "page" : undefined}>${state ? html`<span aria-hidden="true">${STATES[state].sign}</span> ${state}` : "all"}
    <span class="number">${number === undefined ? "" : count(number)}</span></a></li>`;
  return html`<nav aria-label=${`States${filter.queue ? ` in ${filter.queue}` : ""}`} class="tabs"><ul>
    ${tab("", all)}${Object.keys(STATES).map((state) => tab(state, of(state)))}</ul></nav>`;
}

function Bar({ place, page, shown, chosen, all, held, filter, onAll, onNone, onAct }) {
  const number = all ? page.count : chosen.size;
  const states = all ? (filter.state.length ? filter.state : Object.keys(STATES))
    : shown.filter((job) => chosen.has(job.id)).map((job) => job.status);
  const can = (action) => states.some((state) => actionsFor(state)[action]);
  if (!held) {
    return html`<div class="bar"><p role="status">${count(page.count)} ${page.count === 1 ? "job matches" : "jobs match"}</p>
      <${Exports} filter=${filter} chosen=${null} /><${SaveView} place=${place} name=${viewName(filter)} /></div>`;
  }
  const button = (action, verb, level, danger) => may(level) && html`<button type="button" class=${danger ? "danger" : ""}
    disabled=${!can(action)} onClick=${() => onAct(action)}>${verb}</button>`;
  return html`<div class="bar chosen"><p role="status">${jobsWord(number)} chosen; the list waits meanwhile.</p>
    <span class="buttons">
      ${!all && page.count > chosen.size && html`<button type="button" onClick=${onAll}>Choose all ${count(page.count)} matching</button>`}
      ${button("retry", "Retry", "operate")}${button("cancel", "Cancel", "operate", true)}${button("delete", "Delete", "admin", true)}
      <button type="button" onClick=${onNone}>Choose none</button>
    </span><${Exports} filter=${filter} chosen=${all ? null : shown.filter((job) => chosen.has(job.id))} /></div>`;
}

const Exports = ({ filter, chosen }) => html`<span class="buttons">${Object.entries(KINDS).map(([kind, [name]]) => html`<button key=${kind}
  type="button" onClick=${() => exportJobs(filter, kind, chosen)}>Export ${name}</button>`)}</span>`;

function Nothing({ filter, beyond }) {
  if (beyond) return html`<${Empty} kind="unmatched" title="There is no such page"><a href=${href("jobs", "", filter)}>The first one</a><//>`;
  if (filters(filter)) {
    return html`<${Empty} kind="unmatched" title="No job matches">
      <button type="button" onClick=${() => stay("jobs")}>Clear the filter</button><//>`;
  }
  return html`<${Empty} title="No job yet">Enqueue one from the <a href=${href("tasks")}>task catalogue</a>, or from the app:
    <code>task.enqueue(…)</code><//>`;
}

function Pages({ page, beyond, filter }) {
  if (!beyond && page.next === null) return null;
  const to = (from) => href("jobs", "", { ...filter, beyond: from || "" });
  return html`<nav aria-label="Pages" class="pages">
    ${beyond > 0 && html`<a href=${to(Math.max(0, beyond - PAGE))}>Newer</a>`}
    <span>${count(beyond + 1)} to ${count(beyond + page.jobs.length)}</span>
    ${page.next !== null && page.next <= 10_000 && html`<a href=${to(page.next)}>Older</a>`}</nav>`;
}
