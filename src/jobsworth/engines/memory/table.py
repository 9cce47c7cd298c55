"""The rows of the memory engine, in order of creation, and the few indexes that keep a turn cheap.

Knows where a row is found, never why it changes.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from msgspec.structs import replace

from jobsworth.engine import HISTORY, Where, kept_attempts
from jobsworth.job import HELD, LIVE, Attempt, Claim, Failure, Job, JobId, Lease, NewJob, State, WorkerId
from jobsworth.logged import Chunk


@dataclass(slots=True)
class Row:
    """One job and what only the engine knows of it. `seq` is its place in the order of creation."""

    job: Job
    seq: int
    fence: int = 0
    lease_until: float = 0.0
    cancel_grace: float | None = None
    history: list[Attempt] = field(default_factory=list)
    logs: list[Chunk] = field(default_factory=list)  # in the order they came

    @property
    def rank(self) -> tuple[int, int]:
        """Its place in line: the highest priority first, then the oldest."""
        return (-self.job.priority, self.seq)

    def remember(self, outcome: str, finished_at: float | None, error: Failure | None) -> None:
        """Keep the attempt that ends; the oldest give way."""
        self.history = [*self.history, self._attempt(outcome, finished_at, error)][-HISTORY:]

    def _attempt(self, outcome: str | None, finished_at: float | None, error: Failure | None = None) -> Attempt:
        job = self.job
        return Attempt(job.attempt, job.worker, job.started_at, finished_at, outcome, error)

    def seen(self) -> Job:
        """The job as an onlooker sees it. The running attempt, and the one that succeeded, are read off the row."""
        attempts = list(self.history)
        if self.job.state in HELD:
            attempts.append(self._attempt(None, None))
        elif self.job.state is State.COMPLETED:
            attempts.append(self._attempt("succeeded", self.job.finished_at))
        return replace(self.job, attempts=tuple(attempts))


class Table:
    """All rows. Everything but `rows` could be found again from them; only add, write and drop change either."""

    def __init__(self) -> None:
        self.rows: dict[JobId, Row] = {}
        self._seqs = count(1)
        self._lines: dict[tuple[str, bool], list[tuple[int, int, JobId]]] = defaultdict(list)  # by (queue, crashed)
        self._due: list[tuple[float, int, JobId]] = []
        self._held: dict[JobId, Row] = {}
        self._keys: dict[tuple[str, str], JobId] = {}

    def add(self, job: Job) -> None:
        """A new job, last in line among its equals."""
        row = self.rows[job.id] = Row(job, next(self._seqs))
        self._index(row)

    def adopt(self, job: Job) -> bool:
        """A job from elsewhere, as it is. False if its id is known, or another live job holds its key."""
        taken = job.state in LIVE and job.key is not None and (job.task, job.key) in self._keys
        if job.id in self.rows or taken:
            return False
        history = list(kept_attempts(job))
        row = self.rows[job.id] = Row(replace(job, attempts=()), next(self._seqs), history=history)
        self._index(row)
        return True

    def after(self, seq: int, limit: int) -> list[Row]:
        """The next so many rows in order of creation."""
        return list(islice((row for row in self.rows.values() if row.seq > seq), max(limit, 0)))

    def write(self, row: Row, now: float, **changes: Any) -> None:
        """Every visible change passes here: the version grows with each."""
        self._unindex(row)
        row.job = replace(row.job, version=row.job.version + 1, updated_at=now, **changes)
        self._index(row)

    def drop(self, row: Row) -> None:
        """Forget a job."""
        self._unindex(row)
        del self.rows[row.job.id]

    def line(self, queue: str, *, crashed: bool) -> Iterator[Row]:
        """The queued jobs of a queue in the order they are given out; those that took a process down stand apart."""
        return (self.rows[job_id] for *_, job_id in self._lines[queue, crashed])

    def ahead(self, row: Row) -> int | None:
        """How many stand before a row in its line; None if it stands in none."""
        job = row.job
        if job.state is not State.QUEUED:
            return None
        return bisect_left(self._lines[job.queue, job.crashes > 0], (*row.rank, job.id))

    def next_due(self) -> Row | None:
        """The scheduled job that is due first."""
        return self.rows[self._due[0][-1]] if self._due else None

    def waiting(self, queue: str) -> int:
        """How many jobs of a queue wait for a worker, scheduled ones included."""
        scheduled = sum(self.rows[job_id].job.queue == queue for *_, job_id in self._due)
        return len(self._lines[queue, False]) + len(self._lines[queue, True]) + scheduled

    def held(self) -> list[Row]:
        """Every row a worker holds."""
        return list(self._held.values())

    def holding(self, lease: Lease) -> Row | None:
        """The row this lease still holds, or None. Every write of a run asks here first."""
        row = self._held.get(lease.job_id)
        return row if row is not None and row.fence == lease.fence else None

    def key_holder(self, task: str, key: str) -> JobId | None:
        """The live job of this task that holds the key."""
        return self._keys.get((task, key))

    def select(self, where: Where, now: float, may: Callable[[Job], bool] | None = None) -> list[Row]:
        """Matching rows in order of creation. `beyond` and `limit` count only those the verb may touch.

        `beyond` always skips the newest, whichever end comes first; `limit` then counts from the end that does.
        """
        if where.ids is None:
            known = list(self.rows.values())
        else:
            known = sorted((self.rows[each] for each in {*where.ids} & self.rows.keys()), key=lambda row: row.seq)
        chosen = [row for row in known if fits(where, row.job, now) and (may is None or may(row.job))]
        chosen = chosen[: max(0, len(chosen) - max(where.beyond, 0))]
        if where.newest_first:
            chosen.reverse()
        return chosen if where.limit is None else chosen[: max(where.limit, 0)]

    def _index(self, row: Row) -> None:
        job = row.job
        if job.state is State.QUEUED:
            insort(self._lines[job.queue, job.crashes > 0], (*row.rank, job.id))
        elif job.state is State.SCHEDULED:
            insort(self._due, (job.run_at or 0.0, row.seq, job.id))
        elif job.state in HELD:
            self._held[job.id] = row
        if job.key is not None and job.state in LIVE:
            self._keys[job.task, job.key] = job.id

    def _unindex(self, row: Row) -> None:
        job = row.job
        if job.state is State.QUEUED:
            line = self._lines[job.queue, job.crashes > 0]
            del line[bisect_left(line, (*row.rank, job.id))]
        elif job.state is State.SCHEDULED:
            del self._due[bisect_left(self._due, (job.run_at or 0.0, row.seq, job.id))]
        elif job.state in HELD:
            del self._held[job.id]
        if job.key is not None and job.state in LIVE:
            del self._keys[job.task, job.key]


def born(new: NewJob, now: float) -> Job:
    """A wish come true. A moment the user named goes before a delay; to expire in so many seconds, before a moment."""
    dead = new.failure is not None
    due = max(now, now + new.delay if new.run_at is None else new.run_at)
    return Job(
        id=new.id, queue=new.queue, task=new.task, args=new.args,
        state=State.FAILED if dead else State.SCHEDULED if due > now else State.QUEUED,
        priority=new.priority, max_attempts=new.max_attempts, key=new.key, owner=new.owner, label=new.label,
        tags=new.tags, meta=new.meta, timeout=new.timeout, created_at=now, updated_at=now, run_at=due,
        finished_at=now if dead else None,
        expires_at=new.expires_at if new.expires is None else now + new.expires, failure=new.failure,
    )  # fmt: skip


def as_claim(row: Row, *, loser: WorkerId | None = None, expired: bool = False) -> Claim:
    """A row as it is handed to a worker."""
    job = row.job
    return Claim(
        lease=Lease(job.id, row.fence), queue=job.queue, task=job.task, args=job.args, attempt=job.attempt,
        errors=job.errors, crashes=job.crashes, max_attempts=job.max_attempts, priority=job.priority, key=job.key,
        owner=job.owner, label=job.label, tags=job.tags, meta=job.meta, timeout=job.timeout, worker=loser,
        expired=expired, cancelling=job.state is State.CANCELLING, cancel_reason=job.cancel_reason,
    )  # fmt: skip


def fits(where: Where, job: Job, now: float) -> bool:
    """True if a job is one of those meant. Windows include their edge."""
    ended = job.finished_at
    return (
        (where.queue is None or job.queue == where.queue)
        and (where.task is None or job.task == where.task)
        and (where.states is None or job.state in where.states)
        and (where.key is None or job.key == where.key)
        and (where.tag is None or where.tag in job.tags)
        and (where.owner is None or job.owner == where.owner)
        and (where.text is None or _mentions(job, where.text))
        and (where.reason is None or (job.failure is not None and job.failure.reason == where.reason))
        and (where.created_within is None or job.created_at >= now - where.created_within)
        and (where.finished_for is None or (ended is not None and ended <= now - where.finished_for))
        and (where.finished_within is None or (ended is not None and ended >= now - where.finished_within))
    )


def _mentions(job: Job, text: str) -> bool:
    """Ids from their beginning, words anywhere; only words disregard case, and only that of ASCII letters."""
    words = (job.task, job.label or "", job.failure.message if job.failure else "")
    return job.id.startswith(text) or any(_folded(text) in _folded(word) for word in words)


def _folded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").lower()  # bytes.lower() leaves all but ASCII alone, as SQL engines do


def tally(jobs: list[Job]) -> dict[State, int]:
    """How many jobs stand in each state; states without any are left out."""
    return dict(Counter(job.state for job in jobs))
