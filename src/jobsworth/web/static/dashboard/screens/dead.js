// Dead letters, grouped by what went wrong: one mistake is one row, however many jobs it cost.
import { get, may, query, useAsked } from "../api.js";
import { letters, retryEdited } from "../actions.js";
import { write } from "../exact.js";
import { count, jobs } from "../format.js";
import { rowHere, useKeys } from "../keys.js";
import { beat } from "../live.js";
import { Answer, Empty, Folded, Heading, JobLink, When, trying } from "../parts.js";
import { href } from "../router.js";
import { html, use } from "../ui.js";

const SHOWN = 10; // jobs named of one group

export function Dead({ place }) {
  const queue = place.query.get("queue") ?? "";
  const task = place.query.get("task") ?? "";
  const asked = useAsked(`api/dead${query({ queue, task })}`, use(beat));
  const here = () => asked.data?.groups.find((group) => nameOf(group) === rowHere());
  const act = (action, level) => () => here() && may(level) && letters(action, here().ids);
  useKeys({ R: act("redrive", "operate"), D: act("discard", "admin") });
  return html`<${Heading} title="Dead letters" />
    ${(queue || task) && html`<p>Only of <strong>${[queue, task].filter(Boolean).join(", ")}</strong>. <a href=${href("dead")}>Show all</a></p>`}
    <${Answer} asked=${asked} what="which jobs were given up">${(found) => html`<${Groups} found=${found} narrow=${Boolean(queue || task)} />`}<//>`;
}

/** Groups have no id of their own. */
const nameOf = (group) => [group.task, group.queue, group.reason, group.type, group.place].join(" ");

function Groups({ found, narrow }) {
  if (!found.groups.length) {
    return narrow
      ? html`<${Empty} kind="unmatched" title="No dead letter matches"><a href=${href("dead")}>Show all</a><//>`
      : html`<${Empty} title="No dead letters">A job that is given up comes here, and is kept until a person decides.<//>`;
  }
  return html`<p role="status">${count(found.count)} dead letter${found.count === 1 ? "" : "s"}${found.looked_at < found.count
    ? `; grouped from the newest ${count(found.looked_at)}` : ""}</p>
    <ul class="groups">${found.groups.map((group) => html`<${Group} key=${nameOf(group)} group=${group} />`)}</ul>`;
}

function Group({ group }) {
  const newest = group.ids[0];
  const edit = () => trying(async () => {
    const whole = await get(`api/jobs/${encodeURIComponent(newest)}`);
    await retryEdited(newest, write(whole.arguments));
  });
  return html`<li class="group" data-row=${nameOf(group)}>
    <h2><a href=${href("jobs", "", { state: "failed", task: group.task, queue: group.queue, reason: group.reason })}>
      <span class="number">${count(group.count)} ×</span> ${group.type || group.reason}</a></h2>
    ${group.place && html`<p class="place"><code>${group.place}</code></p>`}
    <p class="says">${group.message || "It said nothing."}</p>
    <p class="mute"><span class="chip">${group.task}</span> <span class="chip">${group.queue}</span> <span class="chip">${group.reason}</span> last <${When} at=${group.last} />${group.count > 1 && html`, first <${When} at=${group.first} />`}</p>
    <span class="buttons">
      ${may("operate") && html`<button type="button" onClick=${() => letters("redrive", group.ids)}>Redrive ${jobs(group.ids.length)}</button>
        <button type="button" onClick=${edit}>Edit and redrive the newest</button>`}
      ${may("admin") && html`<button type="button" class="danger" onClick=${() => letters("discard", group.ids)}>Discard ${jobs(group.ids.length)}</button>`}
    </span>
    <${Folded} title="Jobs"><ul class="plain">${group.ids.slice(0, SHOWN).map((id) => html`<li key=${id}><${JobLink} id=${id} /></li>`)}
      ${group.ids.length > SHOWN && html`<li class="mute">and ${count(group.ids.length - SHOWN)} more</li>`}</ul><//>
  </li>`;
}
