"""Jobs, queues and workers as operators are shown them: the shapes of the answers under /api."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from jobsworth.codec import decode
from jobsworth.engine import SILENT_AFTER, QueueStatus, WorkerCard
from jobsworth.errors import JobsworthError
from jobsworth.frames import user_frame, user_traceback
from jobsworth.job import PENDING, Job, State
from jobsworth.loads import Alert, drains_in, missing_slots, running
from jobsworth.snapshot import job_part, moment
from jobsworth.statistics import Eta

_ONLY_WHOLE = ("attempts", "result", "meta")  # left out of lists: they may be large


class Listing(msgspec.Struct, frozen=True):
    """A page of jobs. `next` is the `beyond` of the next page, null on the last one."""

    jobs: list[dict[str, Any]]
    next: int | None = None
    count: int | None = None


class Whole(msgspec.Struct, frozen=True):
    """One job with all that is kept of it. `arguments` is null if they cannot be read.

    Each attempt has the `place` in the user's own code where it failed; its traceback leaves the worker's frames out.
    eta: when its run may be done, null where nobody can tell.
    """

    job: dict[str, Any]
    arguments: Any
    signature: str | None = None
    eta: Eta | None = None


class Lines(msgspec.Struct, frozen=True):
    """What a job has logged, oldest first. `last` is what to go on behind: the `after` of the next question.

    place: among all lines of the job. number: among those of its attempt; what is missing before it was too much.
    """

    lines: list[dict[str, Any]]
    last: int


class Changed(msgspec.Struct, frozen=True):
    """What an action did. `jobs` are the ids, at most a thousand; `count` is how many it really were."""

    count: int
    jobs: list[str] = []


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """One queue. oldest: seconds the longest-waiting job has been ready. drains_in: seconds, null for never or unknown.

    in_rate, out_rate: jobs in the last minute. missing_slots: to be added for the backlog to go within an hour.
    """

    queue: str
    paused: bool
    waiting: int
    running: int
    counts: dict[str, int]
    oldest: float | None
    slots: int
    workers: int
    in_rate: int
    out_rate: int
    drains_in: float | None
    missing_slots: int
    unroutable: dict[str, int]


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """One live worker. beat: seconds since it was last heard of. jobs: what it runs, as far as this was looked at."""

    id: str
    host: str
    pid: int
    version: str
    queues: dict[str, int]
    tasks: list[str]
    running: int
    rss: int | None
    started_at: str | None
    beat: float
    stopping: bool
    silent: bool
    jobs: list[dict[str, Any]]


class You(msgspec.Struct, frozen=True, kw_only=True):
    """Who looks. level: none, user, read, operate or admin. offers: the addresses under /api that can be read here."""

    name: str
    level: str
    offers: list[str]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Whether anything is wrong, and the sums."""

    visitor: You
    well: bool
    alerts: list[Alert]
    counts: dict[str, int]
    waiting: int
    running: int
    oldest: float | None
    slots: int
    workers: int
    in_rate: int
    out_rate: int
    engine: str
    durability: str


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """One task of the app. `arguments` is the JSON schema of what POST /api/jobs takes for it."""

    task: str
    queue: str
    signature: str
    about: str | None
    arguments: dict[str, Any]
    max_attempts: int
    timeout: float | None
    isolation: str


def brief(job: Job) -> dict[str, Any]:
    """A job as lists show it."""
    return {name: value for name, value in _all(job).items() if name not in _ONLY_WHOLE}


def whole(job: Job, signature: str | None, eta: Eta | None = None) -> Whole:
    """A job with its arguments; numbers keep all their digits."""
    try:
        decode(job.args)
        arguments: Any = msgspec.Raw(job.args)
    except JobsworthError:
        arguments = None
    shown = _all(job)
    shown["attempts"] = [_attempt(each) for each in shown["attempts"]]
    return Whole(shown, arguments, signature, eta)


def _attempt(shown: dict[str, Any]) -> dict[str, Any]:
    trace = shown["traceback"]
    return {**shown, "place": user_frame(trace), "traceback": "\n".join(user_traceback(trace)) if trace else None}


def _all(job: Job) -> dict[str, Any]:
    return {
        **job_part(job), "priority": job.priority, "key": job.key, "timeout": job.timeout, "worker": job.worker,
        "errors": job.errors, "crashes": job.crashes, "expires_at": moment(job.expires_at),
        "cancel_reason": job.cancel_reason,
    }  # fmt: skip


def queue_view(status: QueueStatus) -> QueueView:
    """A queue's row."""
    return QueueView(
        queue=status.queue, paused=status.paused, waiting=status.counts.get(State.QUEUED, 0), running=running(status),
        counts=counts([status]), oldest=status.oldest, slots=status.slots, workers=status.workers,
        in_rate=status.in_rate, out_rate=status.out_rate, drains_in=drains_in(status),
        missing_slots=missing_slots(status), unroutable=status.unroutable,
    )  # fmt: skip


def counts(queues: Collection[QueueStatus]) -> dict[str, int]:
    """Jobs by state, over several queues."""
    return {state.value: sum(each.counts.get(state, 0) for each in queues) for state in State}


def pending(status: QueueStatus) -> int:
    """Jobs that wait for a worker or for their time."""
    return sum(status.counts.get(state, 0) for state in PENDING)


def worker_view(
    card: WorkerCard, jobs: Collection[Job], queues: Collection[str] | None, *, counted: bool
) -> WorkerView:
    """A worker's row, of which only these queues are shown (None: all). counted: `jobs` are all that it runs."""
    served = {name: slots for name, slots in card.queues.items() if queues is None or name in queues}
    return WorkerView(
        id=card.id, host=card.host, pid=card.pid, version=card.version, queues=served,
        tasks=list(card.tasks) if queues is None else [], running=len(jobs) if counted else card.running,
        rss=card.rss, started_at=moment(card.started_at), beat=card.beat, stopping=card.stopping,
        silent=card.beat > SILENT_AFTER,
        jobs=[{"id": job.id, "task": job.task, "queue": job.queue, "started_at": moment(job.started_at)}
              for job in jobs],
    )  # fmt: skip
