"""`app.control`: revoking, and the door to `inspect()`. It all stands in the engine, so no worker needs to answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .exceptions import NotSupported, differs
from .inspecting import Answer, Inspect, Refusing
from .result import revoke

if TYPE_CHECKING:
    from .app import Celery

_ANYWHERE = "what is revoked is revoked for every worker"


class Control(Refusing):
    """`app.control`."""

    def __init__(self, app: Celery) -> None:
        self.app = app

    def inspect(
        self, destination: str | Iterable[str] | None = None, timeout: float = 1.0, callback: Any = None,
        connection: Any = None, app: Any = None, limit: Any = None, pattern: Any = None, matcher: Any = None,
    ) -> Inspect:  # fmt: skip
        """Ask about workers: all, or those named. Nobody needs to answer, so no timeout is waited for."""
        del timeout
        _refuse(callback=callback, connection=connection, app=app, limit=limit, pattern=pattern, matcher=matcher)
        return Inspect(self.app, [destination] if isinstance(destination, str) else destination)

    def ping(self, destination: Iterable[str] | None = None, timeout: float = 1.0, **more: Any) -> list[Answer]:
        """[{worker: {"ok": "pong"}}, ...] of those that were heard of lately."""
        del timeout
        _refuse(**more)
        return [{name: pong} for name, pong in (self.inspect(destination).ping() or {}).items()]

    def revoke(
        self, task_id: str | Iterable[str], destination: Any = None, terminate: bool = False, signal: Any = "SIGTERM",
        reply: bool = False, timeout: float = 1.0, **more: Any,
    ) -> list[Answer] | None:  # fmt: skip
        """A waiting task never starts. With terminate a running one ends: a child process is killed, a thread asked.

        It holds for good, and not only for as long as the workers live. Raises NotSupported for another signal than
        SIGTERM and SIGKILL.
        """
        del timeout
        _refuse(**more)
        if destination is not None:
            differs(f"destination has no effect: {_ANYWHERE}")
        ids = [task_id] if isinstance(task_id, str) else [str(each) for each in task_id]
        revoke(self.app, ids, terminate=terminate, signal=signal)
        said = {"ok": f"tasks {set(ids)} flagged as revoked"}
        return [{name: said} for name in self.inspect().ping() or {}] if reply else None

    def terminate(
        self, task_id: str | Iterable[str], destination: Any = None, signal: Any = "SIGTERM", **more: Any
    ) -> list[Answer] | None:
        """revoke(..., terminate=True)."""
        return self.revoke(task_id, destination, terminate=True, signal=signal, **more)

    def purge(self, connection: Any = None) -> int:
        """Delete every task that waits; how many."""
        _refuse(connection=connection)
        return sum(self.app.jobs.purge(status.queue) for status in self.app.jobs.queue_statuses())

    discard_all = purge


def _refuse(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise NotSupported(f"{name}= is not supported", hint="the app's own engine is asked, about all its workers")
