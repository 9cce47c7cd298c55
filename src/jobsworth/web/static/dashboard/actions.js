// What visitors do to jobs: asked first, done, told. Each gives true if it was done.
import { ask, post } from "./api.js";
import { confirm } from "./dialogs.js";
import { jobs, short } from "./format.js";
import { hint } from "./live.js";
import { trying } from "./parts.js";

const DONE = { cancel: "asked to stop", retry: "to be run again", delete: "deleted" };
const VERBS = {
  cancel: { verb: "Cancel", danger: true, line: "Reason, which handlers and people see (may be empty)", text: "Waiting jobs end at once, running ones are asked to stop." },
  retry: { verb: "Retry", text: "They run again now, with a fresh budget of attempts." },
  delete: { verb: "Delete", danger: true, text: "They are gone for good, with their history. This cannot be undone." },
};

async function doing(act, undo) {
  const done = await trying(act, undo);
  hint();
  return done;
}

/** @param {"cancel" | "retry" | "delete"} action @param {string[]} ids */
export async function bulk(action, ids) {
  return many(action, ids.length, { ids });
}

/** Act on all that match a filter. @param {Record<string, any>} where @param {number} expect as the visitor saw it */
export async function bulkWhere(action, where, expect) {
  return many(action, expect, { where });
}

async function many(action, number, chosen) {
  const { verb, ...more } = VERBS[action];
  const said = await confirm({ ...more, title: `${verb} ${jobs(number)}?`, verb: `${verb} ${jobs(number)}` });
  if (!said) return false;
  const body = { action, ...chosen, expect: number, ...(said.line ? { reason: said.line } : {}) };
  return doing(async () => `${jobs((await post("api/jobs/bulk", body)).count)} ${DONE[action]}`);
}

const at = (id) => `api/jobs/${encodeURIComponent(id)}`;

/** @param {string} id */
export async function cancel(id) {
  const { verb, ...more } = VERBS.cancel;
  const said = await confirm({ ...more, title: `Cancel 1 job, ${short(id)}?`, verb: "Cancel 1 job" });
  if (!said) return false;
  return doing(async () => {
    await post(`${at(id)}/cancel`, said.line ? { reason: said.line } : {});
    return `Job ${short(id)} is asked to stop`;
  });
}

/** @param {string} id */
export async function retry(id) {
  const said = await confirm({ ...VERBS.retry, title: `Retry 1 job, ${short(id)}?`, verb: "Retry 1 job" });
  if (!said) return false;
  return doing(async () => {
    await post(`${at(id)}/retry`);
    return `Job ${short(id)} will be run again`;
  });
}

/** @param {string} id @param {string} json its arguments */
export async function retryEdited(id, json) {
  const said = await confirm({ title: `Edit and retry 1 job, ${short(id)}`, verb: "Retry with these", json });
  if (!said) return false;
  return doing(async () => {
    await post(`${at(id)}/retry`, `{"arguments": ${said.json}}`); // as text: no digit is lost
    return `Job ${short(id)} will be run again with new arguments`;
  });
}

/** @param {string} id */
export async function remove(id) {
  const { verb, ...more } = VERBS.delete;
  const said = await confirm({ ...more, title: `Delete 1 job, ${short(id)}?`, verb: "Delete 1 job" });
  if (!said) return false;
  return doing(async () => {
    await ask("DELETE", at(id), {});
    return `Job ${short(id)} is deleted`;
  });
}

/** Dead letters of a group. @param {"redrive" | "discard"} action @param {string[]} ids */
export async function letters(action, ids) {
  const redrive = action === "redrive";
  const number = `${ids.length} dead letter${ids.length === 1 ? "" : "s"}`;
  const verb = redrive ? "Redrive" : "Discard";
  const text = redrive ? VERBS.retry.text : VERBS.delete.text;
  const said = await confirm({ title: `${verb} ${number}?`, text, verb: `${verb} ${number}`, danger: !redrive });
  if (!said) return false;
  return doing(async () => {
    const { count } = await post(`api/dead/${action}`, { ids, expect: ids.length });
    return `${jobs(count)} ${redrive ? "to be run again" : "discarded"}`;
  });
}

/** @param {string} queue @param {boolean} paused */
export async function setPaused(queue, paused) {
  if (paused) {
    const text = "No worker takes its jobs until it is resumed. Running jobs go on; new ones wait.";
    if (!(await confirm({ title: `Pause 1 queue, ${queue}?`, text, verb: "Pause 1 queue" }))) return false;
  }
  return turn(queue, paused);
}

/** Without a question, for it can be taken back. */
function turn(queue, paused) {
  return doing(async () => {
    await post(`api/queues/${encodeURIComponent(queue)}/${paused ? "pause" : "resume"}`);
    return `${queue} is ${paused ? "paused" : "resumed"}`;
  }, () => turn(queue, !paused));
}
