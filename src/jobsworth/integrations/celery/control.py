"""`app.control`: who works, on what, and revoking. All of it is read from the engine, so no worker needs to answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from jobsworth.engine import Where, WorkerCard
from jobsworth.job import HELD, Job, State

from .exceptions import NotSupported
from .result import revoke

if TYPE_CHECKING:
    from .app import Celery

Answer = dict[str, Any]
HINTS = {
    "shutdown": "send the worker SIGTERM", "autoscale": "start workers with other slots: jobsworth worker --queues q:8",
    "pool_grow": "start workers with other slots: jobsworth worker --queues q:8", "pool_restart": "restart the worker",
    "pool_shrink": "start workers with other slots", "add_consumer": "jobsworth worker --queues",
    "cancel_consumer": "jobsworth queues pause NAME", "rate_limit": "rate_limit= of the task, or task_annotations",
    "time_limit": "time_limit= of the task, or task_annotations", "enable_events": "app.jobs.listeners",
    "disable_events": "app.jobs.listeners", "election": "there is none", "heartbeat": "jobsworth workers",
    "broadcast": "workers are told nothing: what they heed stands in the engine",
    "terminate": "revoke(id, terminate=True)", "revoke_by_stamped_headers": "headers are not searched",
    "report": "jobsworth doctor", "conf": "app.conf", "clock": "there is no logical clock", "hello": "ping()",
    "memdump": "there is none", "memsample": "there is none", "objgraph": "there is none",
}  # fmt: skip
MANY = 10_000  # jobs shown at most


class _Refusing:
    def __getattr__(self, name: str) -> NoReturn:
        if name in HINTS:
            raise NotSupported(f"control.{name} is not supported", hint=HINTS[name])
        raise AttributeError(f"there is no {name!r} in Celery's control")


class Control(_Refusing):
    """`app.control`."""

    def __init__(self, app: Celery) -> None:
        self.app = app

    def inspect(self, destination: str | Iterable[str] | None = None, *_more: Any, **_options: Any) -> Inspect:
        """Ask about workers: all, or those named. Nobody needs to answer, so no timeout is waited for."""
        return Inspect(self.app, [destination] if isinstance(destination, str) else destination)

    def ping(self, destination: Iterable[str] | None = None, timeout: float = 1.0, **_options: Any) -> list[Answer]:
        """[{worker: {"ok": "pong"}}, ...] of those that were heard of lately."""
        del timeout
        return [{name: pong} for name, pong in (self.inspect(destination).ping() or {}).items()]

    def revoke(
        self, task_id: str | Iterable[str], destination: Any = None, terminate: bool = False, signal: Any = "SIGTERM",
        **_options: Any,
    ) -> None:  # fmt: skip
        """A waiting task never starts. With terminate a running one ends: a child process is killed, a thread asked.

        It holds for good, and not only for as long as the workers live.
        """
        del destination  # it stands in the engine, for all of them
        ids = [task_id] if isinstance(task_id, str) else [str(each) for each in task_id]
        revoke(self.app, ids, terminate=terminate, signal=signal)

    def purge(self, connection: Any = None) -> int:
        """Delete every task that waits; how many."""
        del connection
        return sum(self.app.jobs.purge(status.queue) for status in self.app.jobs.queue_statuses())

    discard_all = purge


class Inspect(_Refusing):
    """Each question gives {worker: answer}, or None when no worker is live, in Celery's shapes."""

    def __init__(self, app: Celery, destination: Iterable[str] | None) -> None:
        self.app = app
        self._wanted = None if destination is None else set(destination)

    def ping(self, destination: Any = None) -> Answer | None:
        del destination
        return self._each(lambda _card: {"ok": "pong"})

    def active(self, safe: Any = None) -> Answer | None:
        """What runs."""
        del safe
        held = self._jobs(HELD)
        return self._each(lambda card: [self._shown(job) for job in held if job.worker == card.id])

    def reserved(self, safe: Any = None) -> Answer | None:
        """Nothing: a worker holds no job that it does not run."""
        del safe
        return self._each(lambda _card: [])

    def scheduled(self, safe: Any = None) -> Answer | None:
        """What waits for its time, each job with the first of the workers that serve its queue."""
        del safe
        waiting, cards = self._jobs([State.SCHEDULED]), self._cards()

        def of(card: WorkerCard) -> list[Answer]:
            return [
                {"eta": _iso(job.run_at), "priority": 6, "request": self._shown(job)}
                for job in waiting
                if next((each.id for each in cards if job.queue in each.queues), None) == card.id
            ]

        return self._each(of)

    def registered(self, *_info: str) -> Answer | None:
        return self._each(lambda card: list(card.tasks))

    registered_tasks = registered

    def active_queues(self) -> Answer | None:
        return self._each(lambda card: [_queue(name) for name in card.queues])

    def revoked(self) -> Answer | None:
        """The same for every worker: it stands in the engine."""
        ids = [job.id for job in self._jobs([State.CANCELLED])]
        return self._each(lambda _card: ids)

    def query_task(self, *ids: Any) -> Answer | None:
        names = [str(each) for given in ids for each in ([given] if isinstance(given, str) else given)]
        held = {job.id: job for job in self.app.jobs.find(ids=names, states=[str(each) for each in HELD])}
        return self._each(
            lambda card: {job.id: ["active", self._shown(job)] for job in held.values() if job.worker == card.id}
        )

    def stats(self) -> Answer | None:
        """Who they are. `total` counts the runs of the last thirty days, of all workers together."""
        tallies = self.app.jobs.bridge.call(lambda engine: engine.statistics(30 * 86_400.0, 86_400.0)).tallies
        total: dict[str, int] = {}
        for each in tallies:
            total[each.task] = total.get(each.task, 0) + each.completed + each.failed
        return self._each(lambda card: _stats(card, total, self.app.jobs.engine.kind, self.app.jobs.engine.where))

    def _each(self, answer: Any) -> Answer | None:
        found = {f"celery@{card.id}": answer(card) for card in self._cards()}
        return found or None

    def _cards(self) -> list[WorkerCard]:
        cards = sorted(self.app.jobs.workers(), key=lambda card: card.id)
        if self._wanted is None:
            return cards
        return [card for card in cards if {card.id, f"celery@{card.id}"} & self._wanted]

    def _jobs(self, states: Iterable[State]) -> list[Job]:
        where = Where(states=tuple(states), limit=MANY, newest_first=False)
        return self.app.jobs.bridge.call(lambda engine: engine.find(where))

    def _shown(self, job: Job) -> Answer:
        args, kwargs = self.app.arguments_of(job)
        worker = f"celery@{job.worker}" if job.worker else None
        return {
            "id": job.id, "name": job.task, "args": args, "kwargs": kwargs, "type": job.task, "hostname": worker,
            "time_start": job.started_at, "acknowledged": False,
            "delivery_info": {
                "exchange": "", "routing_key": job.queue, "priority": self.app.priority_shown(job.priority),
                "redelivered": job.crashes > 0,
            },
            "worker_pid": next((card.pid for card in self._cards() if card.id == job.worker), None),
        }  # fmt: skip


def _queue(name: str) -> Answer:
    exchange = {"name": name, "type": "direct", "durable": True, "auto_delete": False}
    return {"name": name, "exchange": exchange, "routing_key": name, "durable": True, "exclusive": False}


def _stats(card: WorkerCard, total: Mapping[str, int], kind: str, where: str) -> Answer:
    slots = sum(card.queues.values())
    uptime = 0 if card.started_at is None else max(0, int(time.time() - card.started_at))
    return {
        "total": {task: total[task] for task in card.tasks if task in total}, "pid": card.pid, "clock": "0",
        "uptime": uptime, "prefetch_count": slots,
        "pool": {
            "implementation": "jobsworth", "max-concurrency": slots, "processes": [card.pid], "timeouts": [0, 0],
            "max-tasks-per-child": "N/A", "put-guarded-by-semaphore": True, "writes": {},
        },
        "broker": {"transport": kind, "hostname": where, "virtual_host": ""},
        "rusage": {} if card.rss is None else {"maxrss": card.rss // 1024},
    }  # fmt: skip


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat()
