// The keys, and the switch that turns them off.
import { shortcuts } from "./keys.js";
import { Store, html, use, useEffect, useRef } from "./ui.js";

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
