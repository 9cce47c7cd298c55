"""Telling browsers how a service's jobs stand: once of each change, whichever process has made it."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import gevent
from specter import registry
from sprag.runtime.socket_bridge import surface_uses_socket_runtime

from jobsworth.errors import EngineError
from jobsworth.following import Following
from jobsworth.job import FINAL, Job

from .greenlets import Home
from .shown import ENDED, HELD, shown

if TYPE_CHECKING:
    from .service import QueueService

RECONNECTED = 5.0  # seconds after which the pages of a server that was away have their sockets again
KNOWN = 0.5  # seconds after which a page knows the id of the job that it has asked for
REMEMBERED = 1_000  # jobs of which it is known what browsers were told last
_log = logging.getLogger("jobsworth.sprag")


def open_sockets() -> None:
    """Where SPRAG chooses how to serve, have it serve WebSockets if a page listens to them.

    Its own choice ("auto") looks at controllers only, and a page that hears of jobs needs none that listens.
    """
    app: Any = getattr(registry.resolve("socket_transport"), "_app", None)
    if getattr(app, "server_mode", None) != "auto" or find_spec("geventwebsocket") is None:
        return
    if any(surface_uses_socket_runtime(surface) for _, surface in [*app.pages(), *app.mounts()]):
        app.server_mode = "websocket"


class _Told(NamedTuple):
    """What was told of a job, in short."""

    said: int
    status: str
    updated_at: float
    target: dict[str, Any]


class Telling:
    """What the browsers of one service know. All of it is done in greenlets of its hub.

    runs_here: whether a handler in this process has the job of that id.
    """

    def __init__(self, service: QueueService, home: Home, runs_here: Callable[[str], bool]) -> None:
        self._service, self._home, self._runs_here = service, home, runs_here
        self._told: OrderedDict[str, _Told] = OrderedDict()
        self._early: dict[
            str, list[dict[str, Any]]
        ] = {}  # of jobs that are being stored: what is to be told after that
        self._following: Following | None = None

    def target(self, job_id: str) -> dict[str, Any] | None:
        """Whose pages hear of this job, if they have heard of it lately."""
        told = self._told.get(job_id)
        return None if told is None else told.target

    def follow(self, stopping: threading.Event) -> None:
        """Tell what changes, until then."""
        first, away = True, False
        with Following(self._service.jobsworth.bridge, [self._service.name]) as self._following:
            while not stopping.is_set():
                try:
                    changed = self._home.aside(self._changes)
                    self._hear(changed)
                except Exception as exc:  # noqa: BLE001 (whatever it is, pages want to be told of the next change)
                    if not away:
                        known = isinstance(exc, EngineError)
                        text = "the jobs of queue %s cannot be followed: %s"
                        _log.warning(text, self._service.name, exc, exc_info=not known)
                    away = True
                    gevent.sleep(1)
                    continue
                if first:
                    ended = [job for job in changed if job.state in FINAL]
                    self._service.spawn_later(RECONNECTED, self._hear, ended, again=True)
                first = away = False

    def _changes(self) -> list[Job]:
        assert self._following is not None
        return self._following.changes(within=1.0)

    def hurry(self) -> None:
        """Let follow() see at once that it is to stop."""
        if self._following is not None:
            self._following.close()

    def _hear(self, changed: list[Job], *, again: bool = False) -> None:
        for job in changed:
            # Of those that run here browsers are told at once, and what the engine knows of them may be older.
            if job.task == self._service.name and (job.state in FINAL or not self._runs_here(job.id)):
                self.tell(shown(job), again=again)
        if changed:
            self._service.set_state({"queue_size": self._service.pending_count()})

    def expect(self, job_id: str) -> None:
        """A job is about to be stored here: it may begin, and end, before we hear that it is."""
        self._early.setdefault(job_id, [])

    def begin(self, job: dict[str, Any]) -> None:
        """It was stored. What changes before the page has the answer with its id is told a second time."""
        early = self._early.pop(job["id"], [])
        for each in (job, *early):
            self.tell(each)
        if self._service.running:
            self._service.spawn_later(KNOWN, self._tell_again, job["id"])

    def expect_no_more(self, job_id: str) -> None:
        """It was not stored; what was to be told is of another job with that id."""
        for each in self._early.pop(job_id, []):
            self.tell(each)

    def _tell_again(self, job_id: str) -> None:
        job = self._service.state["jobs"].get(job_id)
        if job is not None:
            self.tell(job, again=True)

    def tell(self, job: dict[str, Any], *, again: bool = False) -> None:
        """Let those whom it concerns know how a job stands, unless they do. again: also if they might."""
        if job["id"] in self._early:
            self._early[job["id"]].append(job)
            return
        said = hash(repr([job[each] for each in job if each not in ("updated_at", "target")]))
        before = self._told.get(job["id"])
        if before is not None and not again and said == before.said:
            return
        if before is not None and before.status in ENDED and job["updated_at"] < before.updated_at:
            return  # what was said before the end
        self._told[job["id"]] = _Told(said, job["status"], job["updated_at"], job["target"])
        self._told.move_to_end(job["id"])
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self._mirror(job)
        self._service.emit_job_signal(job["id"])

    def _mirror(self, job: dict[str, Any]) -> None:
        """The state that whoever subscribes to the service is shown: its newest jobs, as SPRAG's own has them."""
        known = self._service.state["jobs"]
        jobs = {each: known[each] for each in known if each != job["id"]} | {job["id"]: job}
        for each in list(jobs)[: -self._service.job_history_limit]:
            if jobs[each]["status"] in ENDED:
                del jobs[each]
        active = [each for each in jobs if jobs[each]["status"] in HELD]
        self._service.set_state({"jobs": jobs, "job_order": list(jobs), "active_jobs": active})
