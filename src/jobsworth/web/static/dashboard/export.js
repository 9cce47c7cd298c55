// Jobs as a file: all that match, read page by page.
import { get, query } from "./api.js";
import { write } from "./exact.js";
import { count } from "./format.js";
import { download, say, trying } from "./parts.js";

const PAGE = 200;
const MOST = 10_000; // the server pages no further
const COLUMNS = ["id", "status", "task", "queue", "label", "owner", "tags", "attempt", "max_attempts", "created_at",
  "started_at", "finished_at", "run_at", "error_type", "error_message", "cancel_reason"];

/** @param {import("./filter.js").Filter} filter @param {"csv" | "json"} kind */
export async function exportJobs(filter, kind) {
  const found = [];
  const done = await trying(async () => {
    for (let beyond = 0; beyond !== null && beyond <= MOST - PAGE; ) {
      const page = await get(`api/jobs${query({ ...filter, limit: PAGE, beyond })}`);
      found.push(...page.jobs);
      beyond = page.next;
    }
  });
  if (!done) return;
  const text = kind === "json" ? write(found) : csv(found);
  download(`jobs.${kind}`, kind === "json" ? "application/json" : "text/csv", text);
  say(`${count(found.length)} jobs exported${found.length >= MOST - PAGE ? ", the newest ones" : ""}`);
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
