"""The engine on Redis or Valkey: a server's memory, shared by any number of processes on any number of machines.

Blocking: its coroutines never suspend. The bridge runs them in place for sync callers and in a thread for async ones.
Each verb of the life of a job is one script, so it happens whole or not at all; the clock is the server's.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from ...bell import Bell
from ...clock import Clock
from ...engine import (
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
from ...errors import BadOption, QueueFull
from ...job import Claim, Job, JobId, Lease, NewJob, Receipt, WorkerId
from ...lifecycle import Move, Settlement, refuse_held
from ...logged import Logged
from ...statistics import Statistics
from ..levels import looks_at
from . import adopt, desk, doctor, figures, logs, schema, tallies, wire
from .doorbell import ENDINGS, NEWS, Doorbell
from .keys import key
from .link import Link, Value
from .url import check_namespace, parse

_engines: weakref.WeakSet[RedisEngine] = weakref.WeakSet()


class RedisEngine:
    """Jobs in Redis 6.2 or later, or Valkey, at `url`: redis://, rediss://, valkey://, valkeys:// or unix://.

    What an acknowledged enqueue survives is what the server is configured to keep: see durability(). `namespace` keeps
    several programs apart on one server; `?namespace=` in the URL goes before it. `clock` is for tests: without one
    the server's clock counts. Raises BadUrl (E103).
    """

    blocking = True
    kind = "redis"

    def __init__(self, url: str, *, namespace: str = "jobsworth", clock: Clock | None = None) -> None:
        self._address = parse(url)
        self.namespace = check_namespace(namespace if self._address.namespace is None else self._address.namespace)
        self._clock = clock
        self._start()
        _engines.add(self)

    def __repr__(self) -> str:
        return f"RedisEngine({self._address.shown!r}, namespace={self.namespace!r})"

    @property
    def where(self) -> str:
        return self._address.shown

    def _start(self) -> None:
        self._bell = Bell()
        self._link = Link(self._address, self.namespace)
        self._doorbell = Doorbell(self._link, self.namespace, self._bell, on=self._address.doorbell)

    def _run(self, script: str, *values: Value) -> Any:
        return self._link.run(script, ("" if self._clock is None else repr(self._clock()), *values))

    def _run_and_ring(self, script: str, values: Sequence[Value], gap: float) -> Any:
        ring = self._doorbell.ring_with(gap)
        answer = self._link.run(script, ("" if self._clock is None else repr(self._clock()), *values), ring)
        if ring is None:
            self._doorbell.owe(gap)
        self._bell.ring()
        return answer

    async def open(self) -> None:
        schema.check(self._link, self.namespace)
        self._doorbell.reopen()

    async def close(self) -> None:
        self._doorbell.close()
        self._link.close()

    async def schema_version(self) -> SchemaVersion:
        return schema.version(self._link, self.namespace)

    async def migration_sql(self) -> str:
        await self.schema_version()
        raise BadOption(
            f"{self.where}: Redis keeps keys, and there is no SQL that makes them",
            hint="jobsworth migrate, or the first start, does all there is to do",
        )

    # the life of a job

    async def enqueue(self, wishes: Sequence[Sequence[NewJob]]) -> list[list[Receipt] | QueueFull]:
        if not any(wishes):
            return [[] for _ in wishes]
        if wire.joined(wishes):
            jobs = [job for batch in wishes for job in batch]
            [answer] = self._run_and_ring("enqueue", wire.wishes([jobs]), NEWS)
            together = wire.receipts(jobs, answer)
            assert not isinstance(together, QueueFull)
            return wire.split(wishes, iter(together))
        answers = self._run_and_ring("enqueue", wire.wishes(wishes), NEWS)
        return [wire.receipts(batch, answer) for batch, answer in zip(wishes, answers, strict=True)]

    async def turn(self, worker: WorkerId, settle: Sequence[Settlement], want: Sequence[Want], *, lease: float) -> Turn:
        values, script = wire.turn(worker, settle, want, lease)
        answer = self._run_and_ring(script, values, ENDINGS) if settle else self._run(script, *values)
        if answer is None and script == "brisk":
            answer = self._run_and_ring("turn", values, ENDINGS) if settle else self._run("turn", *values)
        return wire.turned(answer)

    async def pulse(self, card: WorkerCard, pulses: Sequence[Pulse], *, lease: float) -> Heard:
        values = (repr(lease), card.id, msgspec.json.encode(card), wire.signs(pulses))
        said = logs.said(pulses)
        return wire.heard(self._run("pulse", *values) if said is None else self._run("log_pulse", *values, said))

    async def hear(self, leases: Sequence[Lease]) -> Heard:
        return wire.heard(self._run("hear", wire.leases(leases))) if leases else Heard()

    async def reclaim(self, limit: int, *, worker: WorkerId, lease: float) -> list[Claim]:  # noqa: ARG002
        return wire.claims(self._run("reclaim", max(limit, 0), repr(lease)), taken_over=True)

    async def recall(self, worker: WorkerId, within: float) -> list[Claim]:
        """What `worker` has claimed within the last so many seconds and still holds. Changes nothing."""
        return wire.recalled(self._run("recall"), worker, within)

    # the operator

    async def move(self, where: Where, move: Move) -> list[JobId]:
        moved = desk.move(self._run, where, move)
        if moved:
            self._ring()
        return moved

    async def delete(self, where: Where) -> int:
        return desk.delete(self._run, where)

    async def configure(self, queue: str, settings: QueueSettings) -> None:
        name = key(self.namespace, "SETTINGS")
        if settings.paused is None:
            self._link.command("HSETNX", name, queue, 0)
        else:
            self._link.command("HSET", name, queue, int(settings.paused))
        self._ring()

    def _ring(self) -> None:
        self._doorbell.owe(0.0)
        self._bell.ring()

    # moving house

    async def scan(self, after: int, limit: int) -> tuple[list[Job], int]:
        return adopt.scan(self._run, after, limit)

    async def adopt(self, jobs: Sequence[Job]) -> list[JobId]:
        refuse_held(jobs)
        if not jobs:
            return []
        stored = self._run_and_ring("adopt", adopt.values(jobs), NEWS)
        return [job.id for job, is_new in zip(jobs, stored, strict=True) if is_new]

    # the onlooker

    async def find(self, where: Where) -> list[Job]:
        return desk.find(self._run, where)

    async def count(self, where: Where) -> int:
        return desk.count(self._run, where)

    async def place(self, job_id: JobId) -> Place | None:
        return figures.place(self._run, job_id)

    async def logs(self, job_id: JobId, after: int = 0, limit: int | None = None) -> list[Logged]:
        return logs.told(self._link, self.namespace, job_id, after, limit)

    async def queues(self, names: Iterable[str] | None = None, *, brief: bool = False) -> list[QueueStatus]:
        flat = self._link.command("HGETALL", key(self.namespace, "SETTINGS"), again=True)
        settings = {queue.decode(): paused == b"1" for queue, paused in zip(flat[::2], flat[1::2], strict=True)}
        used = self._link.command("SMEMBERS", key(self.namespace, "QUEUES"), again=True) if names is None else ()
        return figures.queues(self._run, settings, [each.decode() for each in used], names, brief=brief)

    async def workers(self) -> list[WorkerCard]:
        return figures.workers(self._run)

    async def statistics(
        self, since: float, step: float = 60.0, *, queue: str | None = None, task: str | None = None
    ) -> Statistics:
        return tallies.told(self._run, since, step, queue, task)

    async def sign_off(self, worker: WorkerId) -> None:
        self._link.command("HDEL", key(self.namespace, "CARDS"), worker)

    async def upkeep(self, seen: Sequence[QueueStatus] = ()) -> None:
        self._run("upkeep")
        tallies.note(self._run, looks_at(seen))
        tallies.tidy(self._run)

    def listen(self, ring: Callable[[], None]) -> Callable[[], None]:
        stop = self._bell.listen(ring)
        self._doorbell.listen()
        return stop

    async def doctor(self) -> list[tuple[str, str, str]]:
        return doctor.findings(self._link, self.namespace)

    async def size(self) -> int:
        return doctor.size(self._link)

    async def durability(self) -> str:
        return doctor.durability(self._link)


def _after_fork_in_child() -> None:
    """Start afresh: a connection shared with the parent would mix up both's answers, and its threads are not here."""
    for engine in list(_engines):
        engine._start()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
