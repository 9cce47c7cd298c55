"""`app.control.inspect()`: who works, on what. It is read from the engine and given in the shapes of Celery."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from jobsworth.engine import Where, WorkerCard
from jobsworth.job import HELD, Job, State

from .exceptions import NotSupported

if TYPE_CHECKING:
    from .app import Celery

Answer = dict[str, Any]
_SLOTS = "start workers with other slots: jobsworth worker --queues NAME:8"
HINTS = {
    "shutdown": "send the worker SIGTERM", "autoscale": _SLOTS, "pool_grow": _SLOTS, "pool_shrink": _SLOTS,
    "pool_restart": "restart the worker", "add_consumer": "jobsworth worker --queues NAME",
    "cancel_consumer": "jobsworth queues pause NAME",
    "rate_limit": "rate_limit= of the task, or task_annotations, and restart the workers",
    "time_limit": "time_limit= of the task, or task_annotations, and restart the workers",
    "enable_events": "app.jobs.listeners", "disable_events": "app.jobs.listeners", "election": "there is none",
    "heartbeat": "jobsworth workers", "broadcast": "workers are told nothing: what they heed stands in the engine",
    "revoke_by_stamped_headers": "headers are not searched: revoke(ids)", "report": "jobsworth doctor",
    "conf": "app.conf, of this process: a worker tells nobody its settings",
    "clock": "there is no logical clock", "hello": "ping()", "memdump": "there is none", "memsample": "there is none",
    "objgraph": "there is none", "terminate": "control.revoke(id, terminate=True)",
}  # fmt: skip
MANY = 10_000  # jobs shown at most
_INFO = ("exchange", "routing_key", "rate_limit")
_PORTS = {"redis": 6379, "rediss": 6379, "postgresql": 5432}


class Refusing:
    """What Celery's control has and this has not says what there is instead."""

    def __getattr__(self, name: str) -> NoReturn:
        if name in HINTS:
            raise NotSupported(f"control.{name} is not supported", hint=HINTS[name])
        raise AttributeError(f"there is no {name!r} in Celery's control")


class Inspect(Refusing):
    """Each question gives {worker: answer}, or None when no worker is live, in Celery's shapes."""

    def __init__(self, app: Celery, destination: Iterable[str] | None) -> None:
        self.app = app
        self._wanted = None if destination is None else set(destination)

    def ping(self, destination: Any = None) -> Answer | None:
        """{"ok": "pong"} of each that was heard of lately."""
        del destination
        return self._each(lambda _card: {"ok": "pong"})

    def active(self, safe: Any = None) -> Answer | None:
        """What runs."""
        del safe
        held = self._jobs(HELD)
        return self._each(lambda card: [self._shown(job, card) for job in held if job.worker == card.id])

    def reserved(self, safe: Any = None) -> Answer | None:
        """Nothing: a worker holds no job that it does not run."""
        del safe
        return self._each(lambda _card: [])

    def scheduled(self, safe: Any = None) -> Answer | None:
        """What waits for its time, each job with the first of the workers that serve its queue."""
        del safe
        waiting, cards = self._jobs([State.SCHEDULED]), self._cards()
        return self._each(
            lambda card: [
                {"eta": _iso(job.run_at), "priority": 6, "request": self._shown(job, card)}
                for job in waiting
                if _first(job, cards) == card.id
            ],
            cards,
        )

    def registered(self, *taskinfoitems: str) -> Answer | None:
        """Names of tasks, with what of those attributes they have: "proj.add [rate_limit=10/m]"."""
        return self._each(lambda card: [self._named(name, taskinfoitems or _INFO) for name in card.tasks])

    registered_tasks = registered

    def active_queues(self) -> Answer | None:
        return self._each(lambda card: [_queue(name) for name in card.queues])

    def revoked(self) -> Answer | None:
        """The same for every worker: it stands in the engine. What was not started in time is no such task."""
        cancelled = self._jobs([State.CANCELLED])
        ids = [job.id for job in cancelled if job.failure is None or job.failure.reason != "expired"]
        return self._each(lambda _card: ids)

    def query_task(self, *ids: Any) -> Answer | None:
        """Of those ids what runs ("active") and what waits for its time ("scheduled")."""
        names = tuple(str(each) for given in ids for each in ([given] if isinstance(given, str) else given))
        jobs, cards = self._jobs([*HELD, State.SCHEDULED], names), self._cards()

        def of(card: WorkerCard) -> Answer:
            active = {job.id: ["active", self._shown(job, card)] for job in jobs if job.worker == card.id}
            waiting = [job for job in jobs if job.state is State.SCHEDULED and _first(job, cards) == card.id]
            return active | {job.id: ["scheduled", self._shown(job, card)] for job in waiting}

        return self._each(of, cards)

    def stats(self) -> Answer | None:
        """Who they are. `total` counts the runs of the last thirty days, of all workers together."""
        tallies = self.app.jobs.bridge.call(lambda engine: engine.statistics(30 * 86_400.0, 86_400.0)).tallies
        total: dict[str, int] = {}
        for each in tallies:
            total[each.task] = total.get(each.task, 0) + each.completed + each.failed
        conf, broker = self.app.conf, _broker(self.app.jobs.engine.kind, self.app.jobs.url)
        limits = [conf.task_soft_time_limit or 0, conf.task_time_limit or 0]
        return self._each(lambda card: _stats(card, total, broker, limits))

    def _each(self, answer: Callable[[WorkerCard], Any], cards: list[WorkerCard] | None = None) -> Answer | None:
        found = {_name(card): answer(card) for card in (self._cards() if cards is None else cards)}
        return found or None

    def _cards(self) -> list[WorkerCard]:
        cards = sorted(self.app.jobs.workers(), key=lambda card: card.id)
        if self._wanted is None:
            return cards
        return [card for card in cards if {card.id, _name(card)} & self._wanted]

    def _jobs(self, states: Iterable[State], ids: tuple[str, ...] | None = None) -> list[Job]:
        where = Where(ids=ids, states=tuple(states), limit=MANY, newest_first=False)
        return self.app.jobs.bridge.call(lambda engine: engine.find(where))

    def _named(self, name: str, items: Iterable[str]) -> str:
        task = self.app.tasks.get(name)
        told = {item: getattr(task, item, None) for item in items}
        shown = " ".join(f"{item}={value}" for item, value in told.items() if value is not None)
        return f"{name} [{shown}]" if shown else name

    def _shown(self, job: Job, card: WorkerCard) -> Answer:
        args, kwargs = self.app.arguments_of(job)
        held = job.state in HELD
        return {
            "id": job.id, "name": job.task, "args": args, "kwargs": kwargs, "type": job.task, "hostname": _name(card),
            "time_start": job.started_at if held else None, "acknowledged": False,
            "delivery_info": {
                "exchange": "", "routing_key": job.queue, "priority": self.app.priority_shown(job.priority),
                "redelivered": job.crashes > 0,
            },
            "worker_pid": card.pid if held else None,
        }  # fmt: skip


def _name(card: WorkerCard) -> str:
    return f"celery@{card.id}"


def _first(job: Job, cards: list[WorkerCard]) -> str | None:
    return next((card.id for card in cards if job.queue in card.queues), None)


def _queue(name: str) -> Answer:
    exchange = {
        "name": name, "type": "direct", "arguments": None, "durable": True, "passive": False, "auto_delete": False,
        "delivery_mode": None, "no_declare": False,
    }  # fmt: skip
    return {
        "name": name, "exchange": exchange, "routing_key": name, "queue_arguments": None, "binding_arguments": None,
        "consumer_arguments": None, "durable": True, "exclusive": False, "auto_delete": False, "no_ack": False,
        "alias": None, "bindings": [], "no_declare": None, "expires": None, "message_ttl": None, "max_length": None,
        "max_length_bytes": None, "max_priority": None,
    }  # fmt: skip


def _broker(kind: str, url: str) -> Answer:
    """The engine, as Celery tells of its broker. Without the password."""
    parts = urlsplit(url)
    return {
        "transport": kind, "hostname": parts.hostname or "", "port": parts.port or _PORTS.get(parts.scheme),
        "userid": parts.username, "virtual_host": parts.path.removeprefix("/"), "ssl": parts.scheme in _SECURE,
        "alternates": [], "insist": False, "login_method": None, "credential_provider": None, "uri_prefix": None,
        "transport_options": {}, "heartbeat": 0.0,
    }  # fmt: skip


_SECURE = ("rediss", "valkeys")


def _stats(card: WorkerCard, total: Mapping[str, int], broker: Answer, limits: list[float]) -> Answer:
    slots = sum(card.queues.values())
    uptime = 0 if card.started_at is None else max(0, int(time.time() - card.started_at))
    return {
        "total": {task: total[task] for task in card.tasks if total.get(task)}, "pid": card.pid, "clock": "0",
        "uptime": uptime, "prefetch_count": slots, "broker": broker,
        "pool": {
            "implementation": "jobsworth", "max-concurrency": slots, "processes": [card.pid], "timeouts": limits,
            "max-tasks-per-child": "N/A", "put-guarded-by-semaphore": True,
        },
        "rusage": {} if card.rss is None else {"maxrss": card.rss // 1024},
    }  # fmt: skip


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat()
