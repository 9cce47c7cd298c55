"""The drop-in for `sprag.QueueService`: the same words and answers; the jobs are stored, and run where a worker is."""

from __future__ import annotations

import inspect
import logging
import math
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import gevent
import sprag
from sprag.runtime.observability import log_runtime_event

from jobsworth.app import Jobsworth
from jobsworth.context import current_job, running_job
from jobsworth.engine import Engine, Where
from jobsworth.errors import BadOption, Cancelled, EngineError, NoCurrentJob, QueueFull, Snooze
from jobsworth.handle import find_one
from jobsworth.job import FINAL, HELD, PENDING
from jobsworth.naming import new_id
from jobsworth.queue import Keep

from .greenlets import Home, has_threads
from .handling import Live, stored
from .shown import ENDED, TARGET, as_queued, owner, rejected, shown, stored_target
from .telling import Telling, open_sockets

INNER_WORKER = "JOBSWORTH_INNER_WORKER"  # "off": jobs run in `jobsworth worker` only
LEASE = 10.0  # seconds; pages wait so long for the jobs of a server that was killed
GRACE = 5.0  # seconds that running jobs get when the server stops; then they go back to the queue
LONGEST_LABEL = 500
HISTORY = 24  # SPRAG's own
_log = logging.getLogger("jobsworth.sprag")
_own: list[Jobsworth] = []  # the one of all services that were given none


class QueueService(sprag.QueueService):
    """`sprag.QueueService` with stored jobs. Options are class attributes, constructor arguments, or both.

    name, worker_count, maxsize, poll_interval, initial_state, job_history_limit: as SPRAG has them. Nothing polls, so
            poll_interval changes nothing; job_history_limit, if given, also says how many completed and cancelled
            jobs are kept.
    jobs:   the Jobsworth that stores the jobs, which is then `.jobsworth`; else one that all services share, at
            JOBSWORTH_URL.
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
        def given(option: str, value: Any, default: Any = None) -> Any:
            return getattr(type(self), option, default) if value is None else value

        name = self._checked(given("name", name))
        limit, room = given("job_history_limit", job_history_limit), given("maxsize", maxsize, 0)
        super().__init__(
            name,
            worker_count=given("worker_count", worker_count, 1),
            maxsize=room,
            poll_interval=given("poll_interval", poll_interval, 0.5),
            initial_state=given("initial_state", initial_state),
            job_history_limit=limit or HISTORY,
        )
        options: dict[str, Any] = {"worker_count": self.worker_count, "max_size": room if room and room > 0 else None}
        if limit:
            options["keep"] = Keep(count=self.job_history_limit)
        # Few names that are not private: a subclass may have any of its own.
        self.jobsworth: Jobsworth = given("jobs", jobs) or _shared()
        self._stored = stored(self.jobsworth, name, options | dict(given("queue_options", queue_options, {})))
        if not hasattr(self._stored, "run_job"):
            self._take_over()
        self._inner_worker = given("worker", worker, True)
        self._home = Home()
        self._stopping = threading.Event()
        self._working: Any = None
        self._following: Any = None
        self._live: dict[str, Live] = {}
        self._telling = Telling(self, self._home, self._live.__contains__)

    def _checked(self, name: Any) -> str:
        if not isinstance(name, str):
            raise BadOption(f"{type(self).__name__} has no name", hint='set `name = "..."` in the class')
        if inspect.iscoroutinefunction(self.handle_item):
            raise BadOption(f"queue {name!r}: handle_item is a coroutine function; write `def`, it has its own thread")
        return name

    # Its life.
    def on_start(self) -> None:
        """Follow the jobs, and run them unless that is done elsewhere. Both begin when the hub turns."""
        self._home.open()
        open_sockets()
        self._take_over()
        self._stopping = threading.Event()
        self._following = self.spawn(self._telling.follow, self._stopping, label="follow")
        if self._works_here():
            self.spawn(self._begin_work, label="worker")
        self.on_workers_started()

    def on_stop(self) -> None:
        """Let what runs be finished, or handed back after the grace."""
        self.on_workers_stopping()
        self._stopping.set()
        if self._working is not None:
            self._working.get()
            self._working = None
        self._telling.hurry()
        self._following.join()
        self._home.close()

    def _works_here(self) -> bool:
        if self._inner_worker is False or os.environ.get(INNER_WORKER, "on").lower() in ("off", "0", "no"):
            return False
        if not has_threads():
            _log.warning(
                "queue %s: gevent has patched threading, so no job can run in this process; run `jobsworth worker app`"
                " beside it, and set %s=off to be told no more",
                self.name,
                INNER_WORKER,
            )
        return has_threads()

    def _begin_work(self) -> None:
        self._working = self._home.begin_aside(self._work)

    def _work(self) -> None:
        """The worker's whole life, in a thread."""
        given = self._inner_worker if isinstance(self._inner_worker, Mapping) else {}
        stopping = self._stopping
        while not stopping.is_set():
            try:
                with self.jobsworth.worker({self.name: self.worker_count}, **{"lease": LEASE, "grace": GRACE, **given}):
                    stopping.wait()
            except EngineError as exc:
                _log.warning("queue %s has no worker yet: %s", self.name, exc)
                stopping.wait(1)

    def set_state(self, partial: dict[str, Any]) -> None:
        """As SPRAG's, from any thread; whoever subscribes is called in the hub."""
        self._home.within(lambda: super(QueueService, self).set_state(partial))

    def emit_socket(self, event: str, data: Any = None, **target: Any) -> bool:
        """As SPRAG's, from any thread."""
        return bool(self._home.within(lambda: super(QueueService, self).emit_socket(event, data, **target)))

    def emit_job_signal(
        self, job_id: str, *, event: str | None = None, payload: Mapping[str, Any] | None = None
    ) -> bool:
        """Tell the pages that enqueued a job that it has changed."""
        target = self._telling.target(job_id)
        if target is None:
            job = self.get_job(job_id)
            if job is None:
                return False
            target = job["target"]
        return self.emit_socket(event or self.signal_event, {"job_id": job_id, **(payload or {})}, **target)

    # What a program says to the queue.
    def enqueue(self, item: Any, *, block: bool = False, timeout: float | None = None) -> bool:
        """Store an item that nobody follows. True when it is durable, False when the queue is full."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            try:
                self._home.aside(lambda: self._stored.items.enqueue(item))
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
        """Store a job; SPRAG's answer, when it is durable. That of a full queue is "rejected".

        If a job of that id waits or runs, it is the answer; one that has ended makes way.
        """
        chosen = str(job_id or new_id())
        label = (str(label or "").strip() or f"Job {chosen}")[:LONGEST_LABEL]
        target = {"route": route, "session_id": session_id, "client_id": client_id, "topic": topic}
        fields: dict[str, Any] = {"queue": self.name, "job_id": chosen, "label": label, **target}
        self._home.within(lambda: self._telling.expect(chosen))
        try:
            if job_id:
                self._home.aside(lambda: self._make_way(chosen))
            told = self._home.aside(lambda: self._store(payload, chosen, label, meta or {}, target))
            self._home.within(lambda: self._telling.begin(told))
        except QueueFull:
            log_runtime_event("queue.job.enqueued", level="warning", accepted=False, **fields)
            return self.job_action_result(job=rejected(chosen, label, meta, target), accepted=False)
        finally:
            self._home.within(lambda: self._telling.expect_no_more(chosen))
        log_runtime_event("queue.job.enqueued", accepted=True, **fields)
        return self.job_action_result(job=told, accepted=True)

    def _make_way(self, job_id: str) -> None:
        ended = Where(ids=(job_id,), queue=self.name, task=self.name, states=tuple(FINAL))
        self.jobsworth.bridge.call(lambda engine: engine.delete(ended))

    def _store(
        self, payload: Any, job_id: str, label: str, meta: Mapping[str, Any], target: Mapping[str, Any]
    ) -> dict[str, Any]:
        kept, whose = {**meta, TARGET: stored_target(target)}, owner(target["session_id"])
        handle = self._stored.options(id=job_id, label=label, meta=kept, owner=whose).enqueue(payload)
        job = self.jobsworth.bridge.call(lambda engine: find_one(engine, job_id))
        if job.task != self.name:
            raise BadOption(f"job id {job_id!r} is taken: a job of {job.task!r} has it", hint="choose another job_id")
        return as_queued(job) if handle.created else shown(job)

    def pending_count(self) -> int:
        """How many wait, wherever they will run."""
        waiting: int = self._home.aside(lambda: self.jobsworth.bridge.call(self._waiting))
        return waiting

    async def _waiting(self, engine: Engine) -> int:
        (status,) = await engine.queues([self.name], brief=True)
        return sum(status.counts.get(state, 0) for state in PENDING)

    def queue_snapshot(self) -> dict[str, Any]:
        """The queue in numbers, over all processes; `workers` is how many jobs this one would run at once."""
        held = Where(queue=self.name, task=self.name, states=tuple(HELD), newest_first=False)

        async def look(engine: Engine) -> tuple[int, list[str]]:
            return await self._waiting(engine), [job.id for job in await engine.find(held)]

        pending, active = self._home.aside(lambda: self.jobsworth.bridge.call(look))
        return {"pending": pending, "active": len(active), "active_jobs": active, "workers": self.worker_count}

    def get_job(self, job_id: Any) -> dict[str, Any] | None:
        """A job as it stands now, whoever stored it and whoever runs it; None if this queue has none of that id."""
        if job_id is None:
            return None
        job = self._first(Where(ids=(str(job_id),), queue=self.name, task=self.name))
        live = None if job is None else self._live.get(job["id"])
        return job if live is None else live.shown(job)

    def latest_job(self, *, session_id: str | None = None) -> dict[str, Any] | None:
        """The job that was queued last, by a session or by anybody."""
        return self._first(Where(queue=self.name, task=self.name, owner=owner(session_id), limit=1))

    def _first(self, where: Where) -> dict[str, Any] | None:
        found = self._home.aside(lambda: self.jobsworth.bridge.call(lambda engine: engine.find(where)))
        return shown(found[0]) if found else None

    def request_cancel(self, job_id: Any, *, message: str | None = None) -> dict[str, Any]:
        """Ask a job to stop. One that waits never starts; one that runs is told, in whichever process."""
        job = self.get_job(job_id)
        if job is None:
            missing = {"id": str(job_id), "status": "missing"}
            return self.job_action_result(job=missing, accepted=False, message=f"Unknown job {job_id}.")
        if job["status"] in ENDED:
            return self.job_action_result(job=job, accepted=False)
        asked = self._home.aside(lambda: self.jobsworth.request_job_cancel(self.name, job["id"], message))
        if not asked["accepted"]:  # it has ended meanwhile
            return self.job_action_result(job_id=job["id"], accepted=False)
        # As SPRAG answers, also of one that was cancelled on the spot: that is told next.
        said = message or f"Cancelling {job['label']}..."
        told = job | {"status": "cancelling", "cancel_requested": True, "message": said}
        if self.running:
            self._home.within(lambda: self._telling.tell(told))
        log_runtime_event("queue.job.cancel_requested", queue=self.name, job_id=job["id"], label=job["label"])
        return self.job_action_result(job=told, accepted=True)

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
        """Say how far the job has come; how it then stands. job_id: for a thread that its handler has started."""
        live = self._handled(job_id)
        live.note(current, total, percent, message, result)
        told = live.shown()
        self._home.soon(self._telling.tell, told)
        return told

    def cancel_requested(self, job_id: str | None = None) -> bool:
        """Whether somebody has asked the job to stop."""
        live = self._live.get(self._id_of(job_id))
        job = self.get_job(job_id) if live is None else None
        return live.asked_to_stop() if live is not None else bool(job and job["cancel_requested"])

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
        """Say what the job's result is. It is completed when its handler returns, whatever that returns."""
        live = self._handled(job_id)
        live.note(percent=100)
        return live.will_end("completed", message or f"Completed {live.label}.", result=result)

    def fail_job(self, *, error: Any, message: str | None = None, job_id: str | None = None) -> dict[str, Any]:
        """Give the job up when its handler returns: a dead letter, which is not tried again."""
        return self._handled(job_id).will_end("failed", message or str(error), error=str(error))

    def cancel_job(self, *, message: str | None = None, job_id: str | None = None) -> dict[str, Any]:
        """Cancel the job when its handler returns; where it does not run, as request_cancel does."""
        live = self._live.get(self._id_of(job_id))
        if live is not None:
            return live.will_end("cancelled", message or f"Cancelled {live.label}.", cancel_requested=True)
        answer: dict[str, Any] = self.request_cancel(job_id, message=message)
        return self.get_job(job_id) or answer["job"]

    def _id_of(self, job_id: Any) -> str:
        job = running_job()
        if job_id is not None:
            return str(job_id)
        if job is None or job.task != self.name:
            raise NoCurrentJob(
                f"{type(self).__name__}: no job of this queue is being handled here", hint="or give its job_id"
            )
        return job.id

    def _handled(self, job_id: Any) -> Live:
        live = self._live.get(self._id_of(job_id))
        if live is None:
            raise NoCurrentJob(
                f"job {job_id!r} is not run by this process", hint="how it goes and ends is for its handler to say"
            )
        return live

    # Called by the worker, in a thread.
    def _take_over(self) -> None:
        """From now on the queue's jobs are this service's, also where another one of its name was made before."""
        self._stored.run_job, self._stored.run_item = self._run_job, self._run_item
        self._stored.exhausted = getattr(self, "on_exhausted", None)

    def _run_job(self, payload: Any) -> Any:
        job = current_job()
        try:
            found = shown(self.jobsworth.bridge.call(lambda engine: find_one(engine, job.id)))
        except EngineError as exc:
            raise Snooze(1) from exc  # its handler was not called, so no attempt is used
        live = self._live[job.id] = Live(job, found)
        self._home.soon(self._telling.tell, live.shown())
        log_runtime_event("queue.job.started", queue=self.name, job_id=job.id, label=live.label)
        try:
            return live.end(self._run_item(payload))
        except BaseException as exc:
            live.fell(exc)
            raise
        finally:
            if self._live.get(job.id) is live:  # and not a later attempt that runs here, too
                del self._live[job.id]

    def _run_item(self, item: Any) -> Any:
        return self._home.handle(lambda: self.handle_item(item))


def _shared() -> Jobsworth:
    if not _own:
        _own.append(Jobsworth())
    return _own[0]
