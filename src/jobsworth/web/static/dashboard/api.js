// Asking the server. Every answer is JSON; every refusal becomes a Refusal, with the server's own words.
import { parse } from "./exact.js";
import { Store, useEffect, useRef, useState } from "./ui.js";

/** Where the site is mounted, with a slash at the end. */
export const BASE = new URL("../../", import.meta.url).href;
const PATIENCE = 20_000; // ms until an answer is given up

/** Who looks and what there is for them, from the first answer on; nobody knows before. */
export const me = new Store({ level: "none", name: "", offers: null });
const LEVELS = ["none", "user", "read", "operate", "admin"];

/** Whether the visitor has at least this level; the server decides in any case. @param {string} level */
export function may(level) {
  return LEVELS.indexOf(me.value.level) >= LEVELS.indexOf(level);
}

/** The server did not do it, or could not be asked (status 0). */
export class Refusal extends Error {
  /** @param {number} status @param {{error?: string, code?: string, hint?: string, id?: string}} said */
  constructor(status, said = {}) {
    super(said.error ?? (status ? `the server answered ${status}` : "the server cannot be reached"));
    this.status = status;
    this.code = said.code ?? "";
    this.hint = said.hint ?? (said.id ? `the log has it under ${said.id}` : "");
  }
}

/** @param {Response} answer @returns {Promise<Refusal>} */
export async function refusal(answer) {
  return new Refusal(answer.status, await answer.json().catch(() => ({})));
}

/**
 * @param {string} method @param {string} path below the mount, without a slash at the beginning
 * @param {unknown} [body] a value; or, as text, JSON that is sent digit for digit
 * @param {AbortSignal} [signal]
 */
export async function ask(method, path, body, signal) {
  const signals = [AbortSignal.timeout(PATIENCE), signal].filter(Boolean);
  const options = { method, signal: AbortSignal.any(signals), headers: {} };
  if (method !== "GET") {
    options.headers["Content-Type"] = "application/json";
    options.body = typeof body === "string" ? body : JSON.stringify(body ?? {});
  }
  let answer, text;
  try {
    answer = await fetch(BASE + path, options);
    if (!answer.ok) throw await refusal(answer);
    text = await answer.text();
  } catch (error) {
    if (error instanceof Refusal || signal?.aborted) throw error;
    throw new Refusal(0, { hint: "it may be starting anew; this page tries again by itself" });
  }
  return text ? read(text) : null;
}

/** An answer as values. What a job was given and gave back keeps every digit; elsewhere numbers are to be reckoned with. */
function read(text) {
  const plain = JSON.parse(text);
  if (!plain?.job || !("arguments" in plain)) return plain;
  const exact = parse(text);
  return { ...plain, arguments: exact.arguments, job: { ...plain.job, result: exact.job.result, meta: exact.job.meta } };
}

/** @param {string} path @param {AbortSignal} [signal] */
export const get = (path, signal) => ask("GET", path, undefined, signal);
/** @param {string} path @param {unknown} [body] */
export const post = (path, body) => ask("POST", path, body);

/** A query, without what is empty. Lists become the same name again. @param {Record<string, any>} values */
export function query(values) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null && each !== "" && each !== false) found.append(name, String(each));
    }
  }
  const text = found.toString();
  return text ? `?${text}` : "";
}

/**
 * What is at an address, read again whenever `beat` changes; what is known stays while it is read again.
 * @param {string | null} path null: nothing is asked
 * @param {unknown} beat
 * @returns {{data: any, error: Refusal | null, again: () => void}}
 */
export function useAsked(path, beat) {
  const [state, set] = useState({ path: null, data: null, error: null });
  const [times, more] = useState(0);
  const busy = useRef(null); // at most one question under way, and one more after it
  useEffect(() => {
    if (path === null) return undefined;
    const round = busy.current;
    if (round?.path === path) {
      round.again = true;
      return undefined;
    }
    round?.stop.abort();
    const mine = { path, stop: new AbortController(), again: false };
    busy.current = mine;
    get(path, mine.stop.signal)
      .then((data) => set({ path, data, error: null }))
      .catch((error) => {
        if (mine.stop.signal.aborted) return;
        const refused = error instanceof Refusal ? error : new Refusal(0, { error: String(error) });
        set((was) => ({ path, data: was.path === path && refused.status !== 404 ? was.data : null, error: refused }));
      })
      .finally(() => {
        if (busy.current !== mine) return;
        busy.current = null;
        if (mine.again) more((number) => number + 1);
      });
    return undefined;
  }, [path, beat, times]);
  useEffect(() => () => busy.current?.stop.abort(), []);
  const mine = state.path === path;
  return { data: mine ? state.data : null, error: mine ? state.error : null, again: () => more((number) => number + 1) };
}
