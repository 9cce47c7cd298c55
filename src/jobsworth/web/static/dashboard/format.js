// How things are written: numbers, times, states.
import { Store, saved } from "./ui.js";

/** What a state is called, its sign (never colour alone), and its tone. In the order of a job's life. */
export const STATES = {
  scheduled: { sign: "◷", tone: "calm", about: "waits for its time" },
  queued: { sign: "≡", tone: "calm", about: "waits for a worker" },
  running: { sign: "▶", tone: "busy", about: "a worker has it" },
  cancelling: { sign: "◼", tone: "warn", about: "is asked to stop" },
  completed: { sign: "✓", tone: "good", about: "is done" },
  failed: { sign: "✕", tone: "bad", about: "was given up: a dead letter" },
  cancelled: { sign: "⊘", tone: "mute", about: "was stopped, or expired" },
};
export const LIVE = ["scheduled", "queued", "running", "cancelling"];
export const HELD = ["running", "cancelling"];
export const FINAL = ["completed", "failed", "cancelled"];

/** "relative", "local" or "utc". */
export const clock = saved("clock", "relative");
/** Changes every second. */
export const tick = new Store(Date.now());
setInterval(() => document.hidden || tick.set(Date.now()), 1_000);

const plain = new Intl.NumberFormat("en");
/** 12,345 */
export const count = (number) => (number === null || number === undefined ? "–" : plain.format(number));
/** "1 job", "12 jobs" */
export const jobs = (number) => `${count(number)} job${number === 1 ? "" : "s"}`;

/** 0.3 s, 12 s, 4 min 5 s, 3 h 2 min, 2 d 4 h. @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const whole = Math.abs(seconds);
  if (whole < 0.0005) return "0 s";
  if (whole < 0.995) return `${Math.round(whole * 1000)} ms`;
  if (whole < 9.95) return `${whole.toFixed(1).replace(".0", "")} s`;
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  let left = Math.round(whole);
  const at = units.findIndex(([, size]) => left >= size);
  const parts = [];
  for (const [name, size] of units.slice(at, at + 2)) {
    const number = Math.floor(left / size);
    left -= number * size;
    if (number) parts.push(`${number} ${name}`);
  }
  return parts.join(" ");
}

/** "5 s ago", "in 3 min". @param {number} moment ms @param {number} now ms */
export function relative(moment, now) {
  const away = (moment - now) / 1000;
  if (Math.abs(away) < 1) return "now";
  const said = duration(Math.abs(away) < 10 ? Math.round(away) : away);
  return away > 0 ? `in ${said}` : `${said} ago`;
}

const two = (number) => String(number).padStart(2, "0");
/** 2026-11-22 07:05:09, here or in UTC. @param {number} moment ms @param {boolean} utc */
export function absolute(moment, utc) {
  const at = new Date(moment);
  if (utc) return `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** 12 MiB */
export function bytes(number) {
  if (number === null || number === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (number >= 1024 && at < units.length - 1) {
    number /= 1024;
    at += 1;
  }
  return `${number < 10 && at ? number.toFixed(1) : Math.round(number)} ${units[at]}`;
}

/** Seconds between two moments in ISO 8601. */
export const between = (from, to) => (from && to ? (Date.parse(to) - Date.parse(from)) / 1000 : null);
/** An id as lists show it: its end, for the beginning is the time. */
export const short = (id) => (id.length > 14 ? `…${id.slice(-10)}` : id);
