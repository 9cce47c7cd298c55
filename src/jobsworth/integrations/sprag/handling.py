"""Running a service's jobs: its queue as Jobsworth knows it, and what a handler has said and the engine hears later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobsworth import queue
from jobsworth.context import CurrentJob
from jobsworth.errors import Cancelled, GiveUp, Interrupted, TimedOut
from jobsworth.job import Job, Progress
from jobsworth.task import Task

from .shown import ENDED, progress_of

if TYPE_CHECKING:
    from jobsworth.app import Jobsworth


class Stored(queue.QueueService):
    """A service's queue. Its handlers change when the application is loaded anew.

    items: what enqueue() stores: jobs that nobody follows.
    """

    items: Task[..., Any]
    run_job: Callable[[Any], Any]
    run_item: Callable[[Any], Any]
    exhausted: Callable[[Job, str], None] | None  # a service may have that hook, too

    def handle_item(self, item: Any) -> Any:
        return self.run_job(item)

    def handle_plain(self, item: Any) -> None:
        """What the handler of an item that nobody follows returns is nobody's."""
        self.run_item(item)

    def on_exhausted(self, job: Job, error: str) -> None:
        if self.exhausted is not None:
            self.exhausted(job, error)


def stored(jobs: Jobsworth, name: str, options: dict[str, Any]) -> Stored:
    """The queue of that name; the one that is there, if the application was loaded before."""
    known = jobs.queues.get(name)
    if isinstance(known, Stored):
        return known
    made = jobs.add(Stored(name, **options))
    made.items = jobs.task(queue=made, name=f"{name}.item")(made.handle_plain)
    return made


class Live:
    """A job whose handler runs in this process. found: how the engine had it when that began."""

    def __init__(self, job: CurrentJob, found: dict[str, Any]) -> None:
        self.job = job
        self.label: str = found["label"]
        self.last_words: str | None = None  # what check_cancelled() was given
        self._found = {**found, "status": "running"}
        self._ending: dict[str, Any] | None = None
        self._result: Any = None

    def shown(self, found: dict[str, Any] | None = None) -> dict[str, Any]:
        """How it stands. found: how the engine has it now."""
        told = dict(found or self._found)
        if told["status"] in ENDED:
            return told
        if self.asked_to_stop() and told["status"] == "running":
            told |= {"status": "cancelling", "cancel_requested": True, "message": f"Cancelling {self.label}..."}
        said = told["message"]
        if self.job.note is not None:
            told |= progress_of(self.job.note, said)
        if self._result is not None:
            told["result"] = self._result
        if told["status"] == "cancelling":
            told["message"] = said
        return told | (self._ending or {})

    def note(
        self, current: Any = None, total: Any = None, percent: Any = None, message: Any = None, result: Any = None
    ) -> None:
        """Progress as SPRAG counts it: whole per cent, and what is not said stays."""
        before = self.job.note or Progress(current=0.0)
        current = before.current if current is None else current
        total = before.total if total is None else total
        if percent is None:
            percent = round(float(current) / float(total) * 100) if total and current is not None else before.percent
        percent = None if percent is None else max(0, min(100, int(percent)))
        self.job.report_progress(current, total, percent, message, result)
        self._result = self._result if result is None else result

    def asked_to_stop(self) -> bool:
        """By a person: not by its timeout or its worker's end."""
        return isinstance(self.job.why, Cancelled) and not isinstance(self.job.why, (TimedOut, Interrupted))

    def will_end(self, status: str, message: str, **more: Any) -> dict[str, Any]:
        """What is said of its end, before the end."""
        self._ending = {"status": status, "message": message, **more}
        return self.shown()

    def end(self, result: Any) -> Any:
        """Its handler has returned this: what its result is. Raises what ends it otherwise."""
        if self._ending is None and self.asked_to_stop():
            raise Cancelled(f"Cancelled {self.label}.")
        ending = self._ending or {"status": "completed", "message": f"Completed {self.label}.", "result": result}
        match ending["status"]:
            case "failed":
                raise GiveUp(ending["error"])
            case "cancelled":
                raise Cancelled(ending["message"])
        self.note(percent=100, message=ending["message"])
        return ending["result"]

    def fell(self, exc: BaseException) -> None:
        """Its handler has raised this, which becomes the job's last message."""
        if isinstance(exc, Cancelled):
            if self.asked_to_stop() or self.job.why is None:
                self.note(message=self.last_words if exc is self.job.why else str(exc))
        elif isinstance(exc, GiveUp):
            self.note(message=(self._ending or {}).get("message", exc.why))
        elif isinstance(exc, Exception):
            self.note(message=f"{type(exc).__name__}: {exc}")
