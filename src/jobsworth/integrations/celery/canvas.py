"""A call as data: `task.s(...)`, for `link` and `link_error`. Chains, groups and chords are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from . import current
from .exceptions import NotSupported
from .settings import CANVAS

if TYPE_CHECKING:
    from .app import Celery
    from .result import AsyncResult, EagerResult

INSTEAD = "enqueue the next task at the end of the one before, or with link="
_SAFE_OPTIONS = (
    "countdown",
    "expires",
    "queue",
    "priority",
    "task_id",
    "time_limit",
    "soft_time_limit",
    "ignore_result",
)


class Signature:
    """A task, its arguments and its options. immutable: nothing is put before its arguments when it is a callback."""

    def __init__(
        self,
        task: Any = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        immutable: bool = False,
        app: Celery | None = None,
        **more: Any,
    ) -> None:
        self.task: str = task if isinstance(task, str) else task.name
        self.args = tuple(args or ())
        self.kwargs = dict(kwargs or {})
        self.options = {**(options or {}), **more}
        self.immutable = immutable
        self._app = app or getattr(task, "app", None)

    @classmethod
    def read(cls, given: Any, app: Celery) -> Signature:
        """From a Signature, a task, or what as_dict() gave."""
        if isinstance(given, Signature):
            return given
        if isinstance(given, Mapping):
            if "task" not in given:
                raise NotSupported(f"{given!r} is no signature", hint="task.s(...)")
            return cls(
                given["task"], given.get("args"), given.get("kwargs"), given.get("options"),
                bool(given.get("immutable")), app,
            )  # fmt: skip
        if hasattr(given, "s"):
            return cls(given)
        raise NotSupported(f"{given!r} is no signature", hint="task.s(...)")

    @property
    def app(self) -> Celery:
        return self._app or current.app()

    @property
    def id(self) -> Any:
        return self.options.get("task_id")

    def clone(self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> Signature:
        """The same with arguments before its own, unless it is immutable, and with more options."""
        if self.immutable:
            args, kwargs = (), None
        return Signature(
            self.task, (*args, *self.args), {**self.kwargs, **(kwargs or {})}, {**self.options, **options},
            self.immutable, self._app,
        )  # fmt: skip

    def set(self, immutable: bool | None = None, **options: Any) -> Signature:
        """Change its options; returns itself."""
        if immutable is not None:
            self.immutable = immutable
        self.options.update(options)
        return self

    def link(self, callback: Any) -> Any:
        self.options.setdefault("link", []).append(callback)
        return callback

    def link_error(self, errback: Any) -> Any:
        self.options.setdefault("link_error", []).append(errback)
        return errback

    def apply_async(
        self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult | EagerResult:
        call = self.clone(args, kwargs, **options)
        return self.app.send_task(call.task, call.args, call.kwargs, **call.options)

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult | EagerResult:
        return self.apply_async(args, kwargs)

    def apply(self, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, **options: Any) -> EagerResult:
        call = self.clone(args, kwargs, **options)
        return self.app.find(call.task).apply(call.args, call.kwargs, **call.options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = self.clone(args, kwargs)
        return self.app.find(call.task)(*call.args, **call.kwargs)

    def as_dict(self) -> dict[str, Any]:
        """As it is stored with the job it follows."""
        unsafe = [name for name in self.options if name not in _SAFE_OPTIONS]
        if unsafe:
            raise NotSupported(
                f"a callback cannot have {', '.join(unsafe)}", hint=f"it may have {', '.join(_SAFE_OPTIONS)}"
            )
        return {
            "task": self.task, "args": list(self.args), "kwargs": self.kwargs, "options": self.options,
            "immutable": self.immutable,
        }  # fmt: skip

    def __or__(self, _other: Any) -> NoReturn:
        raise NotSupported("a | b is a chain; " + CANVAS, hint=INSTEAD)

    def __repr__(self) -> str:
        shown = [repr(each) for each in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.task}({', '.join(shown)})"


signature = Signature


class _Refused:
    """What composes tasks in Celery. Can be imported, so that a program says what it misses where it needs it."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise NotSupported(f"{type(self).__name__}: {CANVAS}", hint=INSTEAD)


class chain(_Refused):  # noqa: N801 (Celery's names)
    """Refused."""


class group(_Refused):  # noqa: N801
    """Refused."""


class chord(_Refused):  # noqa: N801
    """Refused."""


class chunks(_Refused):  # noqa: N801
    """Refused."""


class xmap(_Refused):  # noqa: N801
    """Refused."""


class xstarmap(_Refused):  # noqa: N801
    """Refused."""
