"""SPRAG: a drop-in for `sprag.QueueService` whose jobs are stored, so that they outlive the server and may run elsewhere.

Three places of work. Greenlets, in the thread of gevent's hub: they ask the engine in threads of a pool, so the hub
goes on. Handlers, in threads of the worker: what they say to browsers is said in the hub. And greenlets that follow the
engine and tell browsers what has changed, whichever process changed it.
"""

from __future__ import annotations

import inspect
import logging
import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from hashlib import sha256
from typing import Any, TypeVar

from jobsworth import queue as core
from jobsworth.app import Jobsworth
from jobsworth.codec import decode
from jobsworth.context import CurrentJob, current_job, running_job
from jobsworth.engine import Engine, Where
from jobsworth.errors import (
    BadOption,
    Cancelled,
    EngineError,
    ExtraMissing,
    GiveUp,
    Interrupted,
    NoCurrentJob,
    QueueFull,
    TimedOut,
    ValueRefused,
)
from jobsworth.following import Following
from jobsworth.handle import find_one
from jobsworth.job import FINAL, HELD, PENDING, Job, Progress, State
from jobsworth.naming import new_id
from jobsworth.queue import Keep
from jobsworth.snapshot import result_so_far

try:
    import gevent
    import sprag
    from gevent.monkey import get_original
    from gevent.threadpool import ThreadPool
    from specter import bus
    from sprag.runtime.observability import log_runtime_event
except ImportError as exc:
    raise ExtraMissing(
        f"jobsworth.integrations.sprag needs SPRAG, which is not installed ({exc})", hint="pip install 'jobsworth[sprag]'"
    ) from exc

__all__ = ["QueueService"]

INNER_WORKER = "JOBSWORTH_INNER_WORKER"  # "off": jobs run in `jobsworth worker` only
LEASE = 10.0  # seconds; with those of a server that was killed its pages wait
GRACE = 5.0  # seconds that running jobs get when the server stops; then they go back to the queue
THREADS = 12  # in which the engine is asked; one follows it and one holds the worker
REMEMBERED = 1_000  # jobs of which it is known what browsers were told last
LONGEST_LABEL = 500
_TARGET = "sprag:target"  # in a job's meta: whose pages are told of it
_ENDED = {"completed", "failed", "cancelled"}
_log = logging.getLogger("jobsworth.sprag")
_native = get_original("_thread", "get_ident")  # threads, and not greenlets, whatever was patched
_handling: ContextVar[QueueService | None] = ContextVar("jobsworth_sprag_handling", default=None)
_own: list[Jobsworth] = []  # the one of all services that were given none
T = TypeVar("T")


class QueueService(sprag.QueueService):
    """`sprag.QueueService`, with stored jobs. Options as class attributes, as constructor arguments, or both.

    name, worker_count, maxsize, poll_interval, initial_state, job_history_limit: as SPRAG has them. Nothing polls, so
            poll_interval has nothing to say; job_history_limit, if given, is also how many completed and cancelled
            jobs are kept.
    jobs:   the Jobsworth that stores the jobs; else one that all services share, at JOBSWORTH_URL.
    worker: False: the jobs run in `jobsworth worker` only (as JOBSWORTH_INNER_WORKER=off says for all services). Or
            options of jobsworth.worker.Worker for the worker in this process: {"lease": 5, "grace": 10}.
    queue_options: those of jobsworth.Queue: {"retry": Retry(max_attempts=3), "timeout": 60, "keep": 3600, ...}.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        worker_count: int | None = None,
        maxsize: int | None = None,
        poll_interval: float | None = None,
        initial_state: Mapping[str, Any] | None = None,
        job_history_limit: int | None = None,
        jobs: Jobsworth | None = None,
        worker: bool | Mapping[str, Any] | None = None,
        queue_options: Mapping[str, Any] | None = None,
    ) -> None:
        def given(option: str, value: Any, default: Any) -> Any:
            return getattr(type(self), option, default) if value is None else value

        name = given("name", name, None)
        if not isinstance(name, str):
            raise BadOption(f"{type(self).__name__} has no name", hint='set `name = "..."` in the class')
        if inspect.iscoroutinefunction(self.handle_item):
            raise BadOption(f"{type(self).__name__}.handle_item is a coroutine function; SPRAG knows none")
        limit = given("job_history_limit", job_history_limit, None)
        super().__init__(
            name,
            worker_count=given("worker_count", worker_count, 1),
            maxsize=given("maxsize", maxsize, 0),
            poll_interval=given("poll_interval", poll_interval, 0.5),
            initial_state=given("initial_state", initial_state, None),
            job_history_limit=24 if limit is None else limit,
        )
        self.jobs = given("jobs", jobs, None) or _shared()
        self._inner_worker = given("worker", worker, True)
        options = {"worker_count": self.worker_count, "max_size": given("maxsize", maxsize, 0) or None}
        if limit is not None:
            options["keep"] = Keep(count=self.job_history_limit)
        self._stored = _stored(self, options | dict(given("queue_options", queue_options, {})))
        self._home = _native()  # the thread whose greenlets ask; that of the hub once it is started
        self._hub: Any = None
        self._pool: Any = None
        self._stopping: threading.Event | None = None
        self._working: Any = None
        self._live: dict[str, _Live] = {}  # the jobs whose handlers run in this process
        self._marks: OrderedDict[str, Any] = OrderedDict()  # what browsers were told last of each job
        self._targets: OrderedDict[str, Mapping[str, Any]] = OrderedDict()

    # Its life.
    def on_start(self) -> None:
        """Follow the engine, and run jobs unless that is done elsewhere. Both begin when the hub turns."""
        self._home, self._hub = _native(), gevent.get_hub()
        self._pool = ThreadPool(THREADS)
        self._stored.service = self
        self._stopping = threading.Event()
        _relay_the_bus()
        self.spawn(self._follow, label="follow")
        if self._inner_worker is not False and os.environ.get(INNER_WORKER, "on").lower() not in ("off", "0", "no"):
            self.spawn(self._begin_work, label="worker")
        self.on_workers_started()

    def on_stop(self) -> None:
        """Finish what runs, or hand it back after the grace."""
        self.on_workers_stopping()
        if self._stopping is not None:
            self._stopping.set()
        if self._working is not None:
            self._working.get()
            self._working = None
        self._hub = None

    def _begin_work(self) -> None:
        self._working = self._pool.spawn(self._work, self._stopping)

    def _work(self, stopping: threading.Event) -> None:
        """The worker's life, in a thread."""
        options = {"lease": LEASE, "grace": GRACE} | (
            dict(self._inner_worker) if isinstance(self._inner_worker, Mapping) else {}
        )
        while not stopping.is_set():
            try:
                with self.jobs.worker({self.name: self.worker_count}, **options):
                    stopping.wait()
            except EngineError as exc:
                _log.warning("queue %s: no worker yet: %s", self.name, exc)
                stopping.wait(1)

    def _follow(self) -> None:
        away = False
        with Following(self.jobs.bridge, [self.name]) as following:
            while self.running:
                try:
                    changed, pending = self._aside(lambda: (following.changes(1.0), self.jobs.bridge.call(self._waiting)))
                except EngineError as exc:
                    if not away:
                        _log.warning("queue %s: its jobs cannot be followed: %s", self.name, exc)
                    away = True
                    gevent.sleep(1)
                    continue
                away = False
                self._hear(changed, pending)

    def _hear(self, changed: list[Job], pending: int) -> None:
        if pending != self.state.get("queue_size"):
            self.set_state({"queue_size": pending})
        for job in changed:
            # Of those that run here browsers are told at once, and what the engine knows of them may be older.
            if job.task == self.name and (job.state in FINAL or job.id not in self._live):
                self._tell(_shown(job))

    # Threads and greenlets.
    def _aside(self, work: Callable[[], T]) -> T:
        """What `work` returns; for a greenlet a thread does it, so that the hub goes on."""
        if _native() != self._home:
            return work()
        if self._pool is None:
            self._pool = ThreadPool(THREADS)
        found: T = self._pool.apply(work)
        return found

    def _ask(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        return self._aside(lambda: self.jobs.bridge.call(work))

    def _in_hub(self, work: Callable[[], T]) -> T:
        """What `work` returns, done in a greenlet of the hub; here where there is no hub or this is its thread."""
        hub = self._hub
        if hub is None or _native() == self._home:
            return work()
        done: Future[T] = Future()

        def do() -> None:
            try:
                done.set_result(work())
            except BaseException as exc:  # noqa: BLE001 (raised where it was asked for)
                done.set_exception(exc)

        hub.loop.run_callback_threadsafe(gevent.spawn, do)
        return done.result()

    def set_state(self, partial: dict[str, Any]) -> None:
        """As SPRAG's; those who subscribe are called in the hub."""
        self._in_hub(lambda: super(QueueService, self).set_state(partial))

    def emit_socket(self, event: str, data: Any = None, **target: Any) -> bool:
        """As SPRAG's, from any thread."""
        return bool(self._in_hub(lambda: super(QueueService, self).emit_socket(event, data, **target)))

    # Telling browsers.
    def _tell(self, shown: dict[str, Any]) -> None:
        """In a greenlet: tell whom it concerns how a job stands, unless that is what they were told last."""
        job_id = shown["id"]
        mark = (shown["status"], shown["message"], shown["progress"], shown["result"], shown["cancel_requested"])
        if self._marks.get(job_id) == mark:
            return
        _remember(self._marks, job_id, mark)
        _remember(self._targets, job_id, shown["target"])
        self._merge_job_state(job_id, lambda _: dict(shown))
        self._set_active_job(job_id, active=shown["status"] in ("running", "cancelling"))
        self.emit_job_signal(job_id)

    def _tell_from_here(self, shown: dict[str, Any]) -> None:
        """From a handler's thread, which does not wait for it."""
        hub = self._hub
        if hub is not None:
            hub.loop.run_callback_threadsafe(gevent.spawn, self._tell, shown)

    def emit_job_signal(
        self, job_id: str, *, event: str | None = None, payload: Mapping[str, Any] | None = None
    ) -> bool:
        """Tell the pages that enqueued a job that it has changed."""
        target = self._targets.get(job_id)
        if target is None:
            job = self.get_job(job_id)
            if job is None:
                return False
            target = job["target"]
        envelope = {"job_id": job_id, **(payload or {})}
        return self.emit_socket(event or self.signal_event, envelope, **target)

    # What a program says to the queue.
    def enqueue(self, item: Any, *, block: bool = False, timeout: float | None = None) -> bool:
        """Store an item that nobody follows; True when it is durable, False when the queue is full."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            try:
                self._aside(lambda: self._stored.items.enqueue(item))
                return True
            except QueueFull:
                if not block or time.monotonic() >= until:
                    return False
                gevent.sleep(0.1)

    def enqueue_job(
        self,
        payload: Any,
        *,
        job_id: str | None = None,
        label: str | None = None,
        meta: Mapping[str, Any] | None = None,
        route: str | None = None,
        session_id: str | None = None,
        client_id: str | None = None,
        topic: str | None = None,
    ) -> dict[str, Any]:
        """Store a job; the standard SPRAG payload, when it is durable. A full queue's answer is "rejected".

        A job of that id which waits or runs stays and is the answer; one that has ended makes way for the new one.
        """
        given, job_id = job_id, str(job_id or new_id())
        label = (str(label or "").strip() or f"Job {job_id}")[:LONGEST_LABEL]
        target = {"route": route, "session_id": session_id, "client_id": client_id, "topic": topic}
        options = self._stored.options(
            id=job_id, label=label, meta={**(meta or {}), _TARGET: target}, owner=_owner(session_id)
        )

        def store() -> Job:
            if given is not None:
                ended = Where(ids=(job_id,), queue=self.name, states=tuple(FINAL))
                self.jobs.bridge.call(lambda engine: engine.delete(ended))
            options.enqueue(payload)
            return self.jobs.bridge.call(lambda engine: find_one(engine, job_id))

        fields = {"queue": self.name, "job_id": job_id, "label": label, **target}
        try:
            job = self._aside(store)
        except QueueFull:
            log_runtime_event("queue.job.enqueued", level="warning", accepted=False, **fields)
            return self.job_action_result(job=_rejected(job_id, label, meta, target), accepted=False)
        if job.task != self.name:
            raise BadOption(f"job id {job_id!r} is taken by a job of {job.task!r}")
        shown = _shown(job)
        self._tell(shown) if self.running else None
        log_runtime_event("queue.job.enqueued", accepted=True, **fields)
        return self.job_action_result(job=shown, accepted=True)

    def pending_count(self) -> int:
        """How many wait, in whichever process they will run."""
        return self._ask(self._waiting)

    def queue_snapshot(self) -> dict[str, Any]:
        """The queue in numbers, over all processes; `workers` is how many jobs this one runs at once."""

        async def look(engine: Engine) -> tuple[int, list[str]]:
            held = Where(queue=self.name, task=self.name, states=tuple(HELD), newest_first=False)
            return await self._waiting(engine), [job.id for job in await engine.find(held)]

        pending, active = self._ask(look)
        return {"pending": pending, "active": len(active), "active_jobs": active, "workers": self.worker_count}

    async def _waiting(self, engine: Engine) -> int:
        (status,) = await engine.queues([self.name], brief=True)
        return sum(status.counts.get(state, 0) for state in PENDING)

    def get_job(self, job_id: Any) -> dict[str, Any] | None:
        """A job as it stands now, whichever process stored it or runs it; None if there is none in this queue."""
        found = None if job_id is None else self._first(Where(ids=(str(job_id),), queue=self.name, task=self.name))
        live = None if found is None else self._live.get(found["id"])
        return live.shown(found) if live is not None and found is not None else found

    def latest_job(self, *, session_id: str | None = None) -> dict[str, Any] | None:
        """The job that was queued last, of a session or of all."""
        return self._first(Where(queue=self.name, task=self.name, owner=_owner(session_id), limit=1))

    def _first(self, where: Where) -> dict[str, Any] | None:
        for job in self._ask(lambda engine: engine.find(where)):
            return _shown(job)
        return None

    def request_cancel(self, job_id: Any, *, message: str | None = None) -> dict[str, Any]:
        """Ask a job to stop. One that waits never starts; one that runs is told, in whichever process."""
        before = self.get_job(job_id)
        if before is None:
            missing = {"id": str(job_id), "status": "missing"}
            return self.job_action_result(job=missing, accepted=False, message=f"Unknown job {job_id}.")
        if before["status"] in _ENDED:
            return self.job_action_result(job=before, accepted=False)
        asked = self._aside(lambda: self.jobs.request_job_cancel(self.name, before["id"], message))
        shown = self.get_job(job_id) or before
        self._in_hub(lambda: self._tell(shown))
        fields = {"queue": self.name, "job_id": before["id"], "label": before["label"], "status": shown["status"]}
        log_runtime_event("queue.job.cancel_requested", **fields)
        return self.job_action_result(job=shown, accepted=asked["accepted"])

    # What a handler says of its job.
    def report_progress(
        self,
        *,
        current: float | None = None,
        total: float | None = None,
        percent: float | None = None,
        message: str | None = None,
        result: Any = None,
        job_id: str | None = None,
    ) -> dict[str, Any]:
        """Say how far the job has come; how it then stands. job_id: for a thread that the handler has started."""
        live = self._live_one(job_id)
        live.note(current, total, percent, message, result)
        self._tell_from_here(live.shown())
        return live.shown()

    def cancel_requested(self, job_id: str | None = None) -> bool:
        """Whether somebody has asked the job to stop."""
        live = self._live.get(self._id_of(job_id))
        if live is not None:
            return live.asked_to_stop()
        found = self.get_job(self._id_of(job_id))
        return bool(found and found["cancel_requested"])

    def check_cancelled(self, *, job_id: str | None = None, message: str | None = None) -> None:
        """Raise jobsworth.Cancelled if somebody has asked the job to stop, or if its time or its worker has ended."""
        live = self._live.get(self._id_of(job_id))
        if live is not None:
            live.last_words = message or "Job cancelled."
            live.job.check_cancelled()
        elif self.cancel_requested(job_id):
            raise Cancelled(message or "Job cancelled.")

    def complete_job(
        self, *, result: Any = None, message: str | None = None, job_id: str | None = None
    ) -> dict[str, Any]:
        """Say what the job's result is, whatever its handler returns. It is completed when the handler returns."""
        live = self._live_one(job_id)
        return live.will_end("completed", message or f"Completed {live.label}.", result=result)

    def fail_job(self, *, error: Any, message: str | None = None, job_id: str | None = None) -> dict[str, Any]:
        """Give the job up when its handler returns: a dead letter, which is not tried again."""
        return self._live_one(job_id).will_end("failed", message or str(error), error=str(error))

    def cancel_job(self, *, message: str | None = None, job_id: str | None = None) -> dict[str, Any] | None:
        """Cancel the job: when its handler returns; elsewhere as request_cancel does."""
        live = self._live.get(self._id_of(job_id))
        if live is None:
            self.request_cancel(job_id, message=message)
            return self.get_job(job_id)
        return live.will_end("cancelled", message or f"Cancelled {live.label}.", cancel_requested=True)

    def _id_of(self, job_id: Any) -> str:
        running = running_job()
        if job_id is None and running is not None and running.task == self.name:
            return running.id
        return str(self._require_current_job_id(job_id=job_id))

    def _live_one(self, job_id: Any) -> _Live:
        live = self._live.get(self._id_of(job_id))
        if live is None:
            raise NoCurrentJob(
                f"job {job_id!r} does not run in this process", hint="only its handler can say how it goes or ends"
            )
        return live

    # Running it.
    def run_job(self, payload: Any) -> Any:
        """Called by the worker, in a thread."""
        job = current_job()
        found = self.jobs.bridge.call(lambda engine: find_one(engine, job.id))
        live = self._live[job.id] = _Live(job, _shown(found))
        self._tell_from_here(live.shown())
        log_runtime_event("queue.job.started", queue=self.name, job_id=job.id, label=live.label)
        try:
            return live.end(self.run_item(payload))
        except BaseException as exc:
            live.fell(exc)
            raise
        finally:
            del self._live[job.id]

    def run_item(self, item: Any) -> Any:
        """Called by the worker, in a thread."""
        token = _handling.set(self)
        try:
            return self.handle_item(item)
        finally:
            _handling.reset(token)


class _Live:
    """A job whose handler runs here: what it has said, which the engine hears later."""

    def __init__(self, job: CurrentJob, found: dict[str, Any]) -> None:
        self.job = job
        self.label: str = found["label"]
        self.last_words: str | None = None  # what check_cancelled() was given
        self._found = {**found, "status": "running"}
        self._ending: dict[str, Any] | None = None

    def shown(self, found: dict[str, Any] | None = None) -> dict[str, Any]:
        """How it stands. found: as the engine has it."""
        shown = dict(found or self._found)
        if shown["status"] in _ENDED:
            return shown
        if self.asked_to_stop() and shown["status"] == "running":
            shown |= {"status": "cancelling", "cancel_requested": True, "message": f"Cancelling {self.label}..."}
        said = shown["message"]
        if self.job.note is not None:
            shown |= _progress_of(self.job.note, shown)
        if shown["status"] == "cancelling":
            shown["message"] = said
        return shown | (self._ending or {})

    def note(self, current: Any, total: Any, percent: Any, message: str | None, result: Any) -> None:
        """Progress as SPRAG counts it: whole per cent, and what is not said stays."""
        before = self.job.note or Progress(current=0.0)
        current = before.current if current is None else current
        total = before.total if total is None else total
        if percent is None:
            percent = round(float(current) / float(total) * 100) if total and current is not None else before.percent
        percent = None if percent is None else max(0, min(100, int(percent)))
        self.job.report_progress(current, total, percent, message, result)

    def asked_to_stop(self) -> bool:
        """By a person: not by its timeout or its worker's end."""
        return isinstance(self.job.why, Cancelled) and not isinstance(self.job.why, (TimedOut, Interrupted))

    def will_end(self, status: str, message: str, **more: Any) -> dict[str, Any]:
        """What was said of its end, before the end."""
        self._ending = {"status": status, "message": message, **more}
        return self.shown()

    def end(self, result: Any) -> Any:
        """The handler has returned: what its result is. Raises what ends it otherwise."""
        ending = self._ending
        if ending is None and self.asked_to_stop():
            raise Cancelled(f"Cancelled {self.label}.")
        ending = ending or {"status": "completed", "message": f"Completed {self.label}.", "result": result}
        match ending["status"]:
            case "failed":
                raise GiveUp(ending["error"])
            case "cancelled":
                raise Cancelled(ending["message"])
        self.note(None, None, 100, ending["message"], None)
        return ending["result"]

    def fell(self, exc: BaseException) -> None:
        """The handler has raised this: what it means is the job's last message."""
        if isinstance(exc, Cancelled):
            if self.asked_to_stop() or self.job.why is None:
                self.note(None, None, None, self.last_words if exc is self.job.why else str(exc), None)
        elif isinstance(exc, GiveUp):
            self.note(None, None, None, (self._ending or {}).get("message", exc.why), None)
        elif isinstance(exc, Exception):
            self.note(None, None, None, f"{type(exc).__name__}: {exc}", None)


class _Stored(core.QueueService):
    """A service's queue as Jobsworth knows it. `service` changes when the app is loaded anew."""

    service: QueueService

    def handle_item(self, item: Any) -> Any:
        return self.service.run_job(item)

    def handle_plain(self, item: Any) -> Any:
        """An item that nobody follows."""
        return self.service.run_item(item)

    def on_exhausted(self, job: Job, error: str) -> None:
        """A service may have this hook, too."""
        hook = getattr(self.service, "on_exhausted", None)
        if hook is not None:
            hook(job, error)


def _stored(service: QueueService, options: dict[str, Any]) -> _Stored:
    """The queue of that name; a service that is made anew takes it over when it starts."""
    known = service.jobs.queues.get(service.name)
    if isinstance(known, _Stored):
        return known
    stored = _Stored(service.name, **options)
    stored.service = service
    service.jobs.add(stored)
    stored.items = service.jobs.task(queue=stored, name=f"{service.name}.item")(stored.handle_plain)
    return stored


def _shared() -> Jobsworth:
    if not _own:
        _own.append(Jobsworth())
    return _own[0]


def _shown(job: Job) -> dict[str, Any]:
    """A job as SPRAG tells of it."""
    meta = _readable(job.meta) or {}
    target = meta.pop(_TARGET, None) or {}
    label = job.label or f"Job {job.id}"
    status = "queued" if job.state in PENDING else job.state.value
    error = None if job.failure is None or status in ("completed", "cancelled") else _error(job)
    shown = {
        "id": job.id, "label": label, "status": status, "message": f"Queued {label}.",
        "progress": {"current": 0, "total": None, "percent": 0}, "result": result_so_far(job), "error": error,
        "cancel_requested": status == "cancelled" or (job.cancel_requested and status != "completed"),
        "created_at": job.created_at, "updated_at": job.updated_at, "meta": meta,
        "target": {each: target.get(each) for each in ("route", "session_id", "client_id", "topic")},
    }  # fmt: skip
    if job.progress is not None:
        shown |= _progress_of(job.progress, shown) | {"result": shown["result"]}
    return shown | {"message": _message(job, label, error, shown["message"])}


def _message(job: Job, label: str, error: str | None, said: str) -> str:
    """What is said last, or what the job's state says without it."""
    noted = job.progress is not None and job.progress.message is not None
    match job.state:
        case State.CANCELLING:
            return job.cancel_reason or f"Cancelling {label}..."
        case State.CANCELLED:
            by_handler = noted and job.attempts and job.attempts[-1].outcome == "cancelled"
            return said if by_handler else f"Cancelled {label}."
        case State.COMPLETED:
            return said if noted else f"Completed {label}."
        case State.FAILED:
            return said if noted and job.failure is not None and job.failure.type == "GiveUp" else str(error)
    return said


def _error(job: Job) -> str:
    assert job.failure is not None
    if job.failure.type == "GiveUp":
        return job.failure.message
    return f"{job.failure.type.rpartition('.')[2]}: {job.failure.message}"


def _progress_of(progress: Progress, shown: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {
        "current": _whole(progress.current) or 0, "total": _whole(progress.total), "percent": int(progress.percent or 0)
    }  # fmt: skip
    result = shown["result"] if progress.result is None else decode(progress.result.encode())
    return {"progress": numbers, "message": progress.message or shown["message"], "result": result}


def _whole(number: float | None) -> float | int | None:
    return int(number) if number is not None and number.is_integer() else number


def _rejected(
    job_id: str, label: str, meta: Mapping[str, Any] | None, target: Mapping[str, Any]
) -> dict[str, Any]:
    job = Job(id=job_id, queue="", task="", state=State.QUEUED, args=b"", label=label)
    words = {"status": "rejected", "message": f"Queue is full. Could not queue {label}."}
    now = time.time()
    return _shown(job) | words | {"created_at": now, "updated_at": now, "meta": dict(meta or {}), "target": target}


def _readable(data: bytes | None) -> Any:
    try:
        return None if data is None else decode(data)
    except ValueRefused:
        return None


def _owner(session_id: str | None) -> str | None:
    """Whose job it is. A browser may call its session whatever it likes, and who knows its name is that session."""
    return None if session_id is None else f"sprag:{sha256(session_id.encode()).hexdigest()[:32]}"


def _remember(kept: OrderedDict[str, Any], job_id: str, value: Any) -> None:
    kept[job_id] = value
    kept.move_to_end(job_id)
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)


def _relay_the_bus() -> None:
    """What a handler emits on SPRAG's bus is emitted in the hub: whoever listens there may be a greenlet that waits."""
    if getattr(bus.emit, "relayed", False):
        return
    emit = bus.emit

    def relay(event: str, data: object = None) -> None:
        service = _handling.get()
        if service is None:
            emit(event, data)
        else:
            service._in_hub(lambda: emit(event, data))  # noqa: SLF001

    relay.relayed = True
    bus.emit = relay
