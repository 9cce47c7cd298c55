// Questions before something is done, each with the number of things it will be done to; and the list of the keys.
import { shortcuts } from "./keys.js";
import { Store, html, use, useEffect, useRef, useState } from "./ui.js";

const asking = new Store(null);

/**
 * Ask. Gives what was typed, or null if the visitor thought better of it.
 * @param {{title: string, text?: string, verb: string, danger?: boolean, line?: string, begin?: string, json?: string}} what
 *   line: what a line is called that may be typed, and what it begins with; json: JSON is edited, starting with this
 * @returns {Promise<{line?: string, json?: string} | null>}
 */
export function confirm(what) {
  return new Promise((answer) => asking.set({ ...what, answer }));
}

/** Whether a question is open. */
export const isAsking = () => asking.value !== null;

export function Dialogs() {
  const what = use(asking);
  return what && html`<${Question} what=${what} />`;
}

function Question({ what }) {
  const box = useRef(null);
  const [line, setLine] = useState(what.begin ?? "");
  const [json, setJson] = useState(what.json ?? "");
  const wrong = what.json === undefined ? "" : notJson(json);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.focus?.();
  }, []);
  const end = (value) => {
    asking.set(null);
    what.answer(value);
  };
  const submit = (event) => {
    event.preventDefault();
    if (!wrong) end({ line: line.trim() || undefined, json });
  };
  return html`<dialog ref=${box} aria-labelledby="question" onCancel=${() => end(null)}>
    <form onSubmit=${submit}>
      <h2 id="question">${what.title}</h2>
      ${what.text && html`<p>${what.text}</p>`}
      ${what.line &&
      html`<label>${what.line}
        <input type="text" maxlength="500" value=${line} onInput=${(event) => setLine(event.target.value)} />
      </label>`}
      ${what.json !== undefined &&
      html`<label>Arguments, as JSON
        <textarea rows="10" spellcheck=${false} aria-invalid=${String(Boolean(wrong))} aria-describedby="wrong"
          value=${json} onInput=${(event) => setJson(event.target.value)}></textarea>
      </label><p id="wrong" class="wrong" role="status">${wrong}</p>`}
      <div class="buttons">
        <button type="button" autofocus=${what.danger} onClick=${() => end(null)}>Keep as it is</button>
        <button type="submit" class=${what.danger ? "danger" : "main"} disabled=${Boolean(wrong)}>${what.verb}</button>
      </div>
    </form>
  </dialog>`;
}

/** What is wrong with a text as JSON; "" if nothing is. @param {string} text */
export function notJson(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `This is not JSON: ${error.message}`;
  }
}

// ── the keys, and the switch that turns them off ────────────────────────────────────────────────────────────

/** Whether it is shown. */
export const help = new Store(false);
const KEYS = [
  ["?", "this help"], ["/", "the filter of jobs"], ["g o", "overview"], ["g j", "jobs"], ["g q", "queues"], ["g w", "workers"],
  ["g d", "dead letters"], ["g t", "tasks"], ["p", "pause the news, and go on"], ["j, k", "next row, row before"],
  ["Enter", "open the row"], ["x", "choose the row"], ["Escape", "choose none"], ["z", "undo what can be undone"],
  ["Shift R", "retry or redrive what is chosen, or the row"], ["Shift C", "cancel it"], ["Shift D", "delete or discard it"],
  ["Shift E", "edit and retry, on a job’s screen"], ["Shift P", "pause or resume the queue of the row"],
];

export function Help() {
  return use(help) && html`<${Shown} />`;
}

function Shown() {
  const box = useRef(null);
  const on = use(shortcuts) === "on";
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.focus?.();
  }, []);
  const end = () => help.set(false);
  return html`<dialog ref=${box} aria-labelledby="keys" onCancel=${end}>
    <h2 id="keys">Keys</h2>
    <dl class="keys">${KEYS.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
    <p>Keys with Shift act, after a question. All others only look, but for z.</p>
    <label><input type="checkbox" checked=${on} onChange=${(event) => shortcuts.set(event.target.checked ? "on" : "off")} /> Keys are on</label>
    <div class="buttons"><button type="button" autofocus onClick=${end}>Close</button></div>
  </dialog>`;
}
