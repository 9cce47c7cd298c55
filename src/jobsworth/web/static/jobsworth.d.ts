/**
 * Jobsworth in the browser: watch jobs, cancel them, show them.
 *
 * The tabs of a browser share one stream: one tab, the leader, reads it and tells the others. When the leader closes,
 * or is silent for 40 s, another tab leads. Without a secure context (https, or localhost) each tab reads its own. A
 * stream that breaks is opened again, with growing pauses of up to 30 s, at once when the page is shown or the network
 * is back; where the server cannot stream it is asked again and again instead. Either way the end of a job arrives.
 */

/** Where a job stands. "gone": there is no such job, or none that this visitor and these tokens may see. */
export type Status =
  | "scheduled"
  | "queued"
  | "running"
  | "cancelling"
  | "completed"
  | "failed"
  | "cancelled"
  | "gone";

/** Numbers of a job's progress; what the job has not told is null. */
export interface Progress {
  current: number | null;
  total: number | null;
  /** 0 to 100. */
  percent: number | null;
}

/** How things stand with a job. Each is newer than the one before it; changes in quick succession come as one. */
export interface JobEvent {
  job_id: string;
  status: Status;
  /** Grows with each change of the job. Like all that follows it is not there when the job is gone. */
  version?: number;
  queue?: string;
  progress?: Progress;
  /** What the job last said of its progress. */
  message?: string | null;
  /** What the handler gave up with, or why somebody cancelled. Operators are told of every exception. */
  error?: string | null;
  /**
   * When it may be done: `seconds` from the event on, likely between `low` and `high`, going by its own progress or by
   * so many earlier `runs` of its task. Events of jobs that report no progress have none.
   */
  eta?: { seconds: number; low: number; high: number; basis: "progress" | "history"; runs: number } | null;
}

export interface WatchOptions {
  /** From `job.token()`. Not needed where the site's `authorize` knows who the visitor is. */
  token?: string | null;
  /** Is called with each event. What it throws is reported by the browser, and harms no other one. */
  onchange?: (event: JobEvent) => unknown;
}

/** What watches a job. Iterating gives its events, the newest first where several wait; it ends after the last one. */
export interface Watch extends AsyncIterable<JobEvent> {
  readonly id: string;
  /** The newest event so far. */
  readonly last?: JobEvent;
  /** Watch no longer. Leaving a loop over the events does the same. */
  close(): void;
  /** See `cancel`. */
  cancel(reason?: string): Promise<Response>;
}

/** Watch a job until it has ended: completed, failed, cancelled or gone. */
export function watch(id: string, options?: WatchOptions): Watch;

/**
 * Ask a job to stop. That it was asked is what this waits for, not that it has stopped: its events tell.
 * @throws {Refusal} if the server refuses; TypeError if it cannot be reached.
 */
export function cancel(id: string, options?: { token?: string | null; reason?: string }): Promise<Response>;

/** What a server's refusal is thrown as. */
export interface Refusal extends Error {
  /** Of the answer: 404 for a job that is gone. */
  status: number;
}

/** What may be changed, before the first job is watched. */
export interface Settings {
  /** Where the site is mounted, ending in a slash. By default the site that this file came from. */
  site: string;
  /** The text of the button that cancels. */
  cancel: string;
  /** The text for the seconds that are left. */
  left: (seconds: number) => string;
  /** A status in the page's language; by default its own name, and "not available" for "gone". */
  scheduled?: string;
  queued?: string;
  running?: string;
  cancelling?: string;
  completed?: string;
  failed?: string;
  cancelled?: string;
  gone: string;
}

export const settings: Settings;

/**
 * `<job-progress job="ID" token="TOKEN" label="photo.jpg">`: a bar, what is going on, and a button that cancels.
 *
 * Parts for ::part(): bar (a progress element), state, message, cancel. The attribute `status` tells the job's status.
 * `label` is a name for the job, shown, and read out with its state.
 */
export interface JobProgressElement extends HTMLElement {
  /** What watches its job. */
  readonly watching?: Watch;
}

declare global {
  interface HTMLElementTagNameMap {
    "job-progress": JobProgressElement;
  }
  interface HTMLElementEventMap {
    /** From a <job-progress>, after it has shown an event. Bubbles. */
    jobchange: CustomEvent<JobEvent>;
  }
}
