// The filter of jobs as text: `queue:mail owner:user:7 refused`, and what could be meant while it is typed.
import { FINAL, STATES } from "./format.js";

/** What a filter can name, as the server calls it. */
export const QUALIFIERS = ["state", "queue", "task", "tag", "owner", "key", "reason"];
export const REASONS = ["error", "timeout", "gave_up", "exhausted", "crashed", "incompatible", "expired", "cancelled", "pushed"];

/** @typedef {Partial<Record<"queue"|"task"|"tag"|"owner"|"key"|"reason"|"q", string>> & {state: string[]}} Filter */

const isState = (word) => Object.hasOwn(STATES, word);

/** @param {string} text @returns {Filter} */
export function read(text) {
  const found = { state: [] };
  const rest = [];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const at = word.indexOf(":");
    const name = word.slice(0, at);
    const value = word.slice(at + 1);
    if (at < 0 || !QUALIFIERS.includes(name)) rest.push(word);
    else if (name === "state") found.state.push(...value.split(",").filter(isState));
    else if (value) found[name] = value;
  }
  if (rest.length) found.q = rest.join(" ");
  return found;
}

/** The text of a filter; states are shown by the tabs. @param {URLSearchParams} query */
export function written(query) {
  const words = QUALIFIERS.filter((name) => name !== "state" && query.get(name)).map((name) => `${name}:${query.get(name)}`);
  return [...words, query.get("q") ?? ""].filter(Boolean).join(" ");
}

/** The filter that an address holds; only what the server takes. @param {URLSearchParams} query @returns {Filter} */
export function filterOf(query) {
  const found = { state: query.getAll("state").filter(isState) };
  for (const name of [...QUALIFIERS.slice(1), "q"]) {
    const value = query.get(name);
    if (value) found[name] = value;
  }
  return found;
}

/** Whether a filter leaves anything out. @param {Filter} filter */
export const filters = (filter) => filter.state.length > 0 || Object.keys(filter).length > 1;

/**
 * What the word that is being typed could become.
 * @param {string} text up to the caret @param {Record<string, string[]>} known values by qualifier
 * @returns {string[]} words
 */
export function completions(text, known) {
  const word = /\S*$/.exec(text)[0];
  const at = word.indexOf(":");
  if (at < 0) {
    if (!word) return [];
    return QUALIFIERS.filter((name) => name.startsWith(word.toLowerCase())).map((name) => `${name}:`);
  }
  const name = word.slice(0, at);
  const begun = word.slice(at + 1).toLowerCase();
  const values = new Map(Object.entries({ state: Object.keys(STATES), reason: REASONS, ...known })).get(name) ?? [];
  return values.filter((value) => value.toLowerCase().includes(begun) && value !== word.slice(at + 1))
    .slice(0, 8).map((value) => `${name}:${value}`);
}

/** Put a completed word in the place of the one being typed. @param {string} text @param {string} word */
export function complete(text, word) {
  return text.replace(/\S*$/, word) + (word.endsWith(":") ? "" : " ");
}

/** Which of the actions could change a job in such a state. @param {string} state */
export function actionsFor(state) {
  const held = state === "running" || state === "cancelling";
  return { cancel: !FINAL.includes(state) && state !== "cancelling", retry: FINAL.includes(state) || state === "scheduled", delete: !held };
}
