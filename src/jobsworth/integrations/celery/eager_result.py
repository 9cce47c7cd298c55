"""What every result can be asked, and the result of a run in this process that is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from jobsworth.context import running_job

from . import request, states
from .exceptions import TaskFailed


class ResultBase:
    """What both kinds have in common."""

    id: str

    @property
    def task_id(self) -> str:
        return self.id

    @property
    def status(self) -> str:
        return self.state

    @property
    def state(self) -> str:
        raise NotImplementedError

    @property
    def result(self) -> Any:
        raise NotImplementedError

    @property
    def info(self) -> Any:
        return self.result

    def ready(self) -> bool:
        """Whether it has ended, whichever way."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        return self.state == states.FAILURE

    def maybe_throw(self, propagate: bool = True, callback: Callable[[str, Any], Any] | None = None) -> Any:
        """Raise its exception if it failed; else give its result."""
        state, value = self.state, self.result
        if callback is not None:
            callback(self.id, value)
        if propagate and state in states.PROPAGATE_STATES:
            raise value
        return value

    maybe_reraise = maybe_throw

    def as_tuple(self) -> tuple[tuple[str, Any], None]:
        """What result_from_tuple() makes it from."""
        parent = getattr(self, "parent", None)
        return (self.id, parent.as_tuple() if parent is not None else None), None

    def as_list(self) -> list[str]:
        """Its id, and its parents'."""
        parent = getattr(self, "parent", None)
        return [self.id, *(parent.as_list() if parent is not None else ())]

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __eq__(self, other: object) -> bool:
        return other.id == self.id if isinstance(other, ResultBase) else other == self.id

    def __hash__(self) -> int:
        return hash(self.id)


class EagerResult(ResultBase):
    """Of a run in this process that is over."""

    def __init__(
        self,
        id: str,  # noqa: A002 (Celery's name)
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
    ) -> None:
        self.id = id
        self._result = ret_value
        self._state = state
        self.traceback = traceback
        self.name = name
        self.date_done: datetime | None = None
        self.app = self.backend = self.parent = self.children = None
        self.args = self.kwargs = self.queue = self.retries = self.worker = None

    @property
    def state(self) -> str:
        return self._state

    @property
    def result(self) -> Any:
        return self._result

    def ready(self) -> bool:
        return True

    def get(
        self, timeout: float | None = None, propagate: bool = True, disable_sync_subtasks: bool = True, **_kwargs: Any
    ) -> Any:
        """Its result; raises its exception."""
        del timeout
        if disable_sync_subtasks and request.running() is not None and running_job() is not None:
            raise RuntimeError("never call result.get() within a task: it may wait for the very slot it holds")
        if self.state in states.PROPAGATE_STATES and propagate:
            raise self.result if isinstance(self.result, BaseException) else TaskFailed("Exception", str(self.result))
        return self.result if self.state in (states.SUCCESS, *states.PROPAGATE_STATES) else None

    wait = get_leaf = get

    def then(self, callback: Callable[[EagerResult], Any], on_error: Any = None, weak: bool = False) -> Any:
        """Call it at once: the run is over."""
        del on_error, weak
        return callback(self)

    def forget(self) -> None:
        """There is nothing to forget."""

    def revoke(self, *_args: Any, **_kwargs: Any) -> None:
        self._state = states.REVOKED
