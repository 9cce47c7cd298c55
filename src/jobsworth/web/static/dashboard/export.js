// Jobs as a file: those chosen, or all that match, read page by page.
import { get, query } from "./api.js";
import { write } from "./exact.js";
import { jobs } from "./format.js";
import { download, say, trying } from "./parts.js";

const PAGE = 200;
const MOST = 10_000; // the server pages no further
const COLUMNS = ["id", "status", "task", "queue", "label", "owner", "tags", "attempt", "max_attempts", "created_at",
  "started_at", "finished_at", "run_at", "error_type", "error_message", "cancel_reason"];

const lines = (found) => found.map((job) => `${write(job, "")}\n`).join("");
/** What a kind is called, its type, and how it is written. "jsonl" has a job a line. */
export const KINDS = { csv: ["CSV", "text/csv", csv], json: ["JSON", "application/json", (found) => write(found)], jsonl: ["lines of JSON", "application/jsonl", lines] };

/** @param {import("./filter.js").Filter} filter @param {keyof typeof KINDS} kind @param {any[] | null} chosen null: all that match */
export async function exportJobs(filter, kind, chosen) {
  const found = chosen ?? [];
  const done = await trying(async () => {
    for (let beyond = chosen ? null : 0; beyond !== null && beyond <= MOST - PAGE; ) {
      const page = await get(`api/jobs${query({ ...filter, limit: PAGE, beyond })}`);
      found.push(...page.jobs);
      beyond = page.next;
    }
  });
  if (!done) return;
  const [, type, written] = KINDS[kind];
  download(`jobs.${kind}`, type, written(found));
  say(`${jobs(found.length)} exported${found.length >= MOST - PAGE ? ", the newest ones" : ""}`);
}

/** @param {any[]} found */
export function csv(found) {
  const rows = found.map((job) => {
    const flat = { ...job, tags: job.tags.join(" "), error_type: job.error?.type, error_message: job.error?.message };
    return COLUMNS.map((name) => cell(flat[name])).join(",");
  });
  return [COLUMNS.join(","), ...rows].join("\r\n") + "\r\n";
}

/** Text that a spreadsheet will not take for a formula. */
function cell(value) {
  const text = String(value ?? "");
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
