// The keyboard. Plain keys look, keys with Shift act; g and a letter goes somewhere. All of it can be switched off.
import { saved, useEffect, useRef } from "./ui.js";

/** "on" or "off". */
export const shortcuts = saved("shortcuts", "on");
const PATIENCE = 1_200; // ms between g and its letter
const layers = []; // of keys; the newest first
let begun = 0;

/** Keys of a component, for as long as it is there: "j", "R" (with Shift), "g j". @param {Record<string, () => void>} keys */
export function useKeys(keys) {
  const now = useRef(keys);
  now.current = keys;
  useEffect(() => {
    layers.unshift(now);
    return () => void layers.splice(layers.indexOf(now), 1);
  }, []);
}

document.addEventListener("keydown", (event) => {
  if (shortcuts.value !== "on" || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const here = /** @type {HTMLElement} */ (event.target);
  if (here.closest?.("input:not([type=checkbox], [type=range]), textarea, select, dialog, [contenteditable]")) return;
  if (event.key === "Escape" && !layers.some((layer) => layer.current.Escape)) return;
  const after = Date.now() - begun < PATIENCE;
  begun = !after && event.key === "g" ? Date.now() : 0;
  if (begun) return;
  const name = after ? `g ${event.key}` : event.key;
  const layer = layers.find((each) => each.current[name]);
  if (!layer) return;
  event.preventDefault();
  layer.current[name]();
});

/** Move the focus to another row's link. Rows are [data-row]. @param {number} step */
export function moveRow(step) {
  const rows = [...document.querySelectorAll("main [data-row]")];
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
  /** @type {HTMLElement | null} */ (next?.querySelector("a[href], button"))?.focus();
}

/** The name of the row that has the focus. @returns {string | undefined} */
export function rowHere() {
  return document.activeElement?.closest?.("[data-row]")?.dataset.row;
}
