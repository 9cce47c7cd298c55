"""What a result can be asked that follows from its id, state and value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import states


class ResultBase:
    """Of a job or of an eager run. parent: the result that this one is a callback's of, None for none."""

    id: str
    parent: ResultBase | None

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
        return (self.id, self.parent.as_tuple() if self.parent is not None else None), None

    def as_list(self) -> list[str]:
        """Its id, and its parents'."""
        return [self.id, *(self.parent.as_list() if self.parent is not None else ())]

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __eq__(self, other: object) -> bool:
        return other.id == self.id if isinstance(other, ResultBase) else other == self.id

    def __hash__(self) -> int:
        return hash(self.id)
