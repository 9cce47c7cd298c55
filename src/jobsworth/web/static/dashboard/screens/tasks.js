// The task catalogue: everything that can be enqueued, each with a form made from its signature.
import { may, post, useAsked } from "../api.js";
import { duration, short } from "../format.js";
import { History, useHistory } from "../history.js";
import { hint } from "../live.js";
import { Answer, Empty, Heading, JobLink, Section, Table, say } from "../parts.js";
import { href } from "../router.js";
import { fieldsOf, jsonOf } from "../schema.js";
import { html, useMemo, useState } from "../ui.js";

export function Tasks({ place }) {
  const asked = useAsked("api/tasks", 0);
  return html`<${Answer} asked=${asked} what="which tasks there are">${(tasks) => {
    const task = tasks.find((each) => each.task === place.id);
    if (task) return html`<${Task} key=${task.task} task=${task} />`;
    return html`<${Heading} title="Tasks" />
      ${place.id && html`<p class="verdict wrong">There is no task ${place.id} here.</p>`}<${Catalogue} tasks=${tasks} />`;
  }}<//>`;
}

function Catalogue({ tasks }) {
  if (!tasks.length) return html`<${Empty} title="No task yet">The app declares them: <code>@jobs.task</code><//>`;
  return html`<${Table} label="Tasks" head=${["Task", "Queue", "Takes", "About", "Attempts", "Timeout"]}>
    ${tasks.map((task) => html`<tr key=${task.task} data-row=${task.task}>
      <th scope="row"><a href=${href("tasks", task.task)}>${task.task}</a></th>
      <td><a href=${href("queues", task.queue)}>${task.queue}</a></td>
      <td><code>${task.signature}</code></td><td>${task.about ?? ""}</td>
      <td class="number">${task.max_attempts}</td><td class="number">${duration(task.timeout)}</td></tr>`)}<//>`;
}

function Task({ task }) {
  const past = useHistory({ minutes: 60, task: task.task });
  const fields = useMemo(() => fieldsOf(task.arguments), [task]);
  const [typed, type] = useState({});
  const [wrong, blame] = useState({});
  const [made, tell] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    const { body, faults } = read(task, fields, typed);
    blame(faults);
    if (!body) return void document.getElementById(`field-${Object.keys(faults)[0]}`)?.focus();
    try {
      const { id, created } = await post("api/jobs", body);
      tell(id);
      say(created ? `Job ${short(id)} is enqueued` : `Its key was there already: job ${short(id)}`);
      hint();
    } catch (error) {
      blame({ "": [error.message, error.hint].filter(Boolean).join("; ") });
    }
  };
  return html`<${Heading} title=${task.task} />
    <p><code>${task.signature}</code> in <a href=${href("queues", task.queue)}>${task.queue}</a></p>
    ${task.about && html`<p>${task.about}</p>`}
    <p><a href=${href("jobs", "", { task: task.task })}>Its jobs</a></p>
    ${may("operate") ? html`<form class="form" onSubmit=${submit} noValidate>
      <h2>Enqueue</h2>
      ${fields.map((field) => html`<${Input} key=${field.name} field=${field} value=${own(typed, field.name) ?? ""} wrong=${own(wrong, field.name)}
        onType=${(value) => type({ ...typed, [field.name]: value })} />`)}
      ${OPTIONS.map((field) => html`<${Input} key=${field.name} field=${field} value=${own(typed, field.name) ?? ""} wrong=${own(wrong, field.name)}
        onType=${(value) => type({ ...typed, [field.name]: value })} />`)}
      ${wrong[""] && html`<p class="wrong" role="alert">${wrong[""]}</p>`}
      <div class="buttons"><button type="submit" class="main">Enqueue 1 job</button></div>
      ${made && html`<p role="status">Enqueued: <${JobLink} id=${made} /></p>`}
    </form>` : html`<p class="mute">Enqueueing needs the level operate.</p>`}
    <${Section} title="The last hour"><${History} minutes=${60} asked=${past} /><//>`;
}

/** Options that stand beside the arguments; no parameter can have a dot in its name. */
const OPTIONS = [
  { name: ".delay", label: "delay", kind: "number", required: false, about: "option: seconds until it may run" },
  { name: ".priority", label: "priority", kind: "number", whole: true, required: false, about: "option: lower numbers run earlier" },
];

/** Parameters may be called "constructor", too. */
const own = (object, name) => (Object.hasOwn(object, name) ? object[name] : undefined);

function read(task, fields, typed) {
  const faults = {};
  const parts = { false: [], true: [] }; // arguments, options
  for (const field of [...fields, ...OPTIONS]) {
    try {
      const json = jsonOf(field, own(typed, field.name) ?? "");
      if (json !== undefined) parts[field.name.startsWith(".")].push(`${JSON.stringify(field.name.replace(/^\./, ""))}: ${json}`);
    } catch (error) {
      faults[field.name] = `${field.label ?? field.name}: ${error.message}`;
    }
  }
  if (Object.keys(faults).length) return { faults, body: null };
  const body = `{"task": ${JSON.stringify(task.task)}, "arguments": {${parts.false.join(", ")}}, "options": {${parts.true.join(", ")}}}`;
  return { faults, body };
}

function Input({ field, value, wrong, onType }) {
  const id = `field-${field.name}`;
  const common = { id, "aria-describedby": `${id}-about`, "aria-invalid": wrong ? "true" : undefined, "aria-required": String(field.required),
    value, onInput: (event) => onType(event.target.value) };
  const hint = field.initial !== undefined ? `${field.initial} if left empty` : field.required ? "" : "may be left empty";
  return html`<div class="field">
    <label for=${id}>${field.label ?? field.name}${field.required && html` <span class="mute">needed</span>`}</label>
    <${Control} field=${field} common=${common} hint=${hint} />
    <span id=${`${id}-about`} class="mute">${[field.about, hint].filter(Boolean).join("; ")}</span>
    ${wrong && html`<span class="wrong" role="alert">${wrong}</span>`}
  </div>`;
}

function Control({ field, common }) {
  if (field.kind === "choice" || field.kind === "boolean") {
    return html`<select ...${common}><option value="">–</option>
      ${(field.choices ?? [true, false]).map((each) => html`<option key=${JSON.stringify(each)} value=${JSON.stringify(each)}>${String(each)}</option>`)}</select>`;
  }
  if (field.kind === "json") return html`<textarea ...${common} rows="3" spellcheck=${false}></textarea>`;
  return html`<input ...${common} type="text" inputmode=${field.kind === "number" ? "decimal" : undefined} autocomplete="off" />`;
}
