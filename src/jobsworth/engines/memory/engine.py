"""Jobs in this process's memory: the specification every other engine is held against.

Every rule of the door is applied here once, as plainly as it can be said. Nothing survives the process.
What may follow what is not known here: a Settlement or a Move names the state, this file goes there.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import count, islice
from typing import Any

from msgspec.structs import replace

from jobsworth.bell import Bell
from jobsworth.clock import Clock, system_clock
from jobsworth.engine import (
    CARD_LEASES,
    Heard,
    Place,
    Pulse,
    QueueSettings,
    QueueStatus,
    SchemaVersion,
    Turn,
    Want,
    Where,
    WorkerCard,
)
from jobsworth.engines.levels import looks_at
from jobsworth.errors import BadOption, QueueFull
from jobsworth.job import (
    FINAL,
    HELD,
    LIVE,
    PENDING,
    CancelRequest,
    Claim,
    Job,
    JobId,
    Lease,
    NewJob,
    Receipt,
    State,
    WorkerId,
)
from jobsworth.lifecycle import Move, Settlement, cancelled, refuse_held
from jobsworth.logged import Logged, told
from jobsworth.statistics import Statistics

from . import figures, intake, logs
from .table import Row, Table, as_claim
from .tallies import Tallies


@dataclass(frozen=True, slots=True)
class _Card:
    card: WorkerCard
    at: float  # of the last pulse
    until: float


class MemoryEngine:
    """Keeps jobs in this process. For tests, and for programs that may forget their jobs when they end.

    Safe to share between threads: each verb runs under one lock and never suspends.
    """

    blocking = True
    kind = "memory"
    where = "this process"

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock
        self.apart = False  # True in a worker's child process, where nobody would ever look at what is stored here
        self._lock = threading.Lock()
        self._bell = Bell()
        self._table = Table()
        # One counter for all jobs: a lease on a deleted job can never fit a new job of the same id.
        self._fences = count(1)
        self._paused: dict[str, bool] = {}
        self._cards: dict[WorkerId, _Card] = {}
        self._tallies = Tallies()

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        """Nothing to let go of: the jobs last as long as this object."""

    async def schema_version(self) -> SchemaVersion:
        return SchemaVersion(1, 1)

    async def migration_sql(self) -> str:
        raise BadOption("jobs in memory have no schema")

    # the life of a job

    async def enqueue(self, wishes: Sequence[Sequence[NewJob]]) -> list[list[Receipt] | QueueFull]:
        if self.apart:
            raise BadOption(
                "a child process cannot store jobs in memory://: they live in the worker's process",
                hint='sqlite:///jobs.db, or a handler without isolation="process"',
            )
        with self._lock:
            now = self._clock()
            before = len(self._table.rows)
            answers = [intake.store(self._table, batch, now) for batch in wishes]
            created = len(self._table.rows) > before
        if created:
            self._bell.ring()
        return answers

    async def turn(self, worker: WorkerId, settle: Sequence[Settlement], want: Sequence[Want], *, lease: float) -> Turn:
        with self._lock:
            now = self._clock()
            for ending in settle:
                self._keep_lines(ending, now)
            sent: list[NewJob] = []  # once all endings are written: which keys are free depends on all of them
            refused = [ending.lease.job_id for ending in settle if not self._settle(ending, now, sent)]
            for letter in sent:
                intake.store(self._table, [letter], now)
            self._promote(now)
            claims: list[Claim] = []
            for wanted in want:
                # One job that took a process down per turn, whichever queue it comes from.
                crashed = wanted.crashed and not any(claim.crashes for claim in claims)
                claims += [self._claim(row, worker, now, lease) for row in self._pick(wanted, crashed)]
            due = self._table.next_due()
        if len(refused) < len(settle):
            self._bell.ring()
        return Turn(claims, refused, None if due is None else max(0.0, (due.job.run_at or now) - now))

    def _promote(self, now: float) -> None:
        while (row := self._table.next_due()) is not None and (row.job.run_at or 0.0) <= now:
            self._table.write(row, now, state=State.QUEUED)

    def _pick(self, want: Want, with_crashed: bool) -> list[Row]:
        """Who is next in line. A job that has crashed is looked for first, so that others cannot crowd it out."""
        if want.limit <= 0 or self._paused.get(want.queue, False):
            return []

        def line(crashed: bool) -> Iterable[Row]:
            return (row for row in self._table.line(want.queue, crashed=crashed) if row.job.task in want.tasks)

        picked = list(islice(line(crashed=True), 1 if with_crashed else 0))
        picked += islice(line(crashed=False), want.limit - len(picked))
        return sorted(picked, key=lambda row: row.rank)

    def _claim(self, row: Row, worker: WorkerId, now: float, lease: float) -> Claim:
        row.fence, row.lease_until = next(self._fences), now + lease
        self._table.write(
            row, now, state=State.RUNNING, attempt=row.job.attempt + 1, worker=worker, started_at=now, progress=None
        )
        return as_claim(row, expired=row.job.expires_at is not None and row.job.expires_at <= now)

    def _settle(self, ending: Settlement, now: float, sent: list[NewJob]) -> bool:
        row = self._table.holding(ending.lease)
        if row is None:
            return False
        job = row.job
        target = ending.if_cancelling if job.state is State.CANCELLING else ending.target
        self._tallies.count(job, ending.outcome, target, now)
        if ending.outcome != "succeeded":
            row.remember(ending.outcome, now, ending.failure)
        attempt = job.attempt - ending.refund
        changes: dict[str, Any] = {
            "state": target,
            "attempt": attempt,
            "started_at": job.started_at if attempt > 0 else None,
            "errors": job.errors + ending.errors,
            "crashes": job.crashes + ending.crashes,
            "progress": job.progress if ending.progress is None else ending.progress,
            # A job that waits for its next attempt goes on showing its last error.
            "failure": job.failure if ending.failure is None else ending.failure,
        }
        if target in PENDING:
            changes |= {"run_at": now + max(ending.delay, 0.0), "worker": None}
        if target in FINAL:
            changes["finished_at"] = now
        if target is State.COMPLETED:
            changes |= {"result": ending.result, "failure": None}
        if target is State.CANCELLED:
            changes["failure"] = ending.failure or cancelled(job.cancel_reason)
        self._table.write(row, now, **changes)
        if ending.forward is not None and target is ending.target:
            # A full queue must not lose it: the job it stands for has already been given up.
            sent.append(replace(ending.forward, max_size=None))
        return True

    async def pulse(self, card: WorkerCard, pulses: Sequence[Pulse], *, lease: float) -> Heard:
        with self._lock:
            now = self._clock()
            known = self._cards.get(card.id)
            card = replace(card, started_at=now if known is None else known.card.started_at)
            self._cards[card.id] = _Card(card, now, now + CARD_LEASES * lease)
            for sign in pulses:
                row = self._table.holding(sign.lease)
                if row is not None:
                    row.lease_until = now + lease
                    if sign.progress is not None:
                        self._table.write(row, now, progress=sign.progress)
                self._keep_lines(sign, now)
            return self._hear([sign.lease for sign in pulses])

    def _keep_lines(self, said: Pulse | Settlement, now: float) -> None:
        row = self._table.holding(said.lease) if said.lines else None
        if row is not None:
            logs.keep(row, said.lines, now)

    async def hear(self, leases: Sequence[Lease]) -> Heard:
        with self._lock:
            return self._hear(leases)

    def _hear(self, leases: Sequence[Lease]) -> Heard:
        held = [(lease, self._table.holding(lease)) for lease in leases]
        cancelled = [
            CancelRequest(row.job.id, row.job.cancel_reason, row.cancel_grace)
            for _, row in held
            if row is not None and row.job.state is State.CANCELLING
        ]
        return Heard(cancelled, [lease.job_id for lease, row in held if row is None])

    async def reclaim(self, limit: int, *, worker: WorkerId, lease: float) -> list[Claim]:  # noqa: ARG002
        # Who takes over needs no writing down here: the new fence alone tells holders apart.
        with self._lock:
            now = self._clock()
            ran_out = [row for row in self._table.held() if row.lease_until <= now]
            taken = nsmallest(max(limit, 0), ran_out, key=lambda row: (row.lease_until, row.seq))
            for row in taken:
                # Only the lease moves. The job goes on naming who ran it: that is who the history says lost it.
                row.fence, row.lease_until = next(self._fences), now + lease
            return [as_claim(row, loser=row.job.worker) for row in taken]

    # the operator

    async def move(self, where: Where, move: Move) -> list[JobId]:
        with self._lock:
            now = self._clock()
            rows = self._table.select(where, now, lambda job: job.state in move.to)
            moved = [row.job.id for row in rows if self._move(row, move, now)]
        if moved:
            self._bell.ring()
        return moved

    def _move(self, row: Row, move: Move, now: float) -> bool:
        job, target = row.job, move.to[row.job.state]
        if target in LIVE and job.key is not None and self._table.key_holder(job.task, job.key) not in (None, job.id):
            return False
        if target is State.QUEUED and move.delay > 0:
            target = State.SCHEDULED
        changes: dict[str, Any] = {"state": target}
        if move.args is not None:
            changes["args"] = move.args
        if target in PENDING:
            changes["run_at"] = now + max(move.delay, 0.0)
        if target in (State.CANCELLING, State.CANCELLED):
            reason = job.cancel_reason if move.reason is None else move.reason
            changes |= {"cancel_requested": True, "cancel_reason": reason}
            row.cancel_grace = row.cancel_grace if move.grace is None else move.grace
        if target is State.CANCELLED:
            changes |= {"finished_at": now, "failure": cancelled(move.reason)}
        if move.renews:
            changes |= self._renewed(row, now + max(move.delay, 0.0))
        self._table.write(row, now, **changes)
        return True

    def _renewed(self, row: Row, due: float) -> dict[str, Any]:
        """A fresh start: attempt numbers go on and the history stays, all else of the earlier life is forgotten."""
        if row.job.state is State.COMPLETED:
            row.remember("succeeded", row.job.finished_at, None)
        row.cancel_grace = None
        expires_at = row.job.expires_at
        return {
            "errors": 0,
            "crashes": 0,
            "worker": None,
            "started_at": None,
            "result": None,
            "failure": None,
            "finished_at": None,
            "progress": None,
            "cancel_reason": None,
            "cancel_requested": False,
            # Else a job that expired would only expire again.
            "expires_at": expires_at if expires_at is not None and expires_at > due else None,
        }

    async def delete(self, where: Where) -> int:
        with self._lock:
            rows = self._table.select(where, self._clock(), lambda job: job.state not in HELD)
            for row in rows:
                self._table.drop(row)
            return len(rows)

    async def configure(self, queue: str, settings: QueueSettings) -> None:
        with self._lock:
            self._paused[queue] = self._paused.get(queue, False) if settings.paused is None else settings.paused
        self._bell.ring()

    # moving house

    async def scan(self, after: int, limit: int) -> tuple[list[Job], int]:
        with self._lock:
            rows = self._table.after(after, limit)
            return [row.seen() for row in rows], rows[-1].seq if rows else after

    async def adopt(self, jobs: Sequence[Job]) -> list[JobId]:
        refuse_held(jobs)
        with self._lock:
            adopted = [job.id for job in jobs if self._table.adopt(job)]
        self._bell.ring()
        return adopted

    # the onlooker

    async def find(self, where: Where) -> list[Job]:
        with self._lock:
            return [row.seen() for row in self._table.select(where, self._clock())]

    async def count(self, where: Where) -> int:
        with self._lock:
            return len(self._table.select(replace(where, limit=None, beyond=0), self._clock()))

    async def place(self, job_id: JobId) -> Place | None:
        with self._lock:
            row = self._table.rows.get(job_id)
            return None if row is None else Place(self._table.ahead(row), self._clock())

    async def logs(self, job_id: JobId, after: int = 0, limit: int | None = None) -> list[Logged]:
        with self._lock:
            row = self._table.rows.get(job_id)
            return [] if row is None else told(reversed(row.logs), after, limit)

    async def queues(self, names: Iterable[str] | None = None, *, brief: bool = False) -> list[QueueStatus]:
        with self._lock:
            now = self._clock()
            cards = [kept.card for kept in self._cards.values() if kept.until > now]
            jobs: dict[str, list[Job]] = defaultdict(list)
            for row in self._table.rows.values():
                jobs[row.job.queue].append(row.job)
            if names is None:
                names = {*jobs, *self._paused, *(queue for card in cards for queue in card.queues)}
            chosen = sorted({*names})
            whole = [figures.status(name, self._paused.get(name, False), jobs[name], cards, now) for name in chosen]
            return [figures.brief(status) for status in whole] if brief else whole

    async def workers(self) -> list[WorkerCard]:
        with self._lock:
            now = self._clock()
            live = [kept for kept in self._cards.values() if kept.until > now]
            cards = [replace(kept.card, beat=max(0.0, now - kept.at)) for kept in live]
            return sorted(cards, key=lambda card: card.id)

    async def statistics(
        self, since: float, step: float = 60.0, *, queue: str | None = None, task: str | None = None
    ) -> Statistics:
        with self._lock:
            return self._tallies.told(self._clock(), since, step, queue, task)

    async def sign_off(self, worker: WorkerId) -> None:
        with self._lock:
            self._cards.pop(worker, None)

    async def upkeep(self, seen: Sequence[QueueStatus] = ()) -> None:
        with self._lock:
            now = self._clock()
            self._cards = {worker: kept for worker, kept in self._cards.items() if kept.until > now}
            self._tallies.note(looks_at(seen), now)
            self._tallies.tidy(now)

    def listen(self, ring: Callable[[], None]) -> Callable[[], None]:
        return self._bell.listen(ring)

    async def durability(self) -> str:
        return "jobs live in this process only and end with it"

    async def size(self) -> int:
        with self._lock:
            return sum(len(row.job.args) + len(row.job.result or b"") for row in self._table.rows.values())

    async def doctor(self) -> list[tuple[str, str, str]]:
        text = "jobs live in this process's memory: nothing survives it, and no other process sees them"
        return [("warn", "durability", text)]
