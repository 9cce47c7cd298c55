"""A call as data: `task.s(...)`, for `link` and `link_error`. Chains, groups and chords are refused."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self

from . import current
from .exceptions import NotSupported
from .naming import new_task_id
from .settings import CANVAS
from .tags import tag, untag

if TYPE_CHECKING:
    from .app import Celery
    from .result import AsyncResult, EagerResult
    from .task import Task

INSTEAD = "enqueue the next task at the end of the one before, or with link="
_SAFE_OPTIONS = (
    "countdown", "eta", "expires", "queue", "priority", "task_id", "time_limit", "soft_time_limit", "ignore_result",
    "headers", "shadow", "link", "link_error",
)  # fmt: skip


class Signature(dict[str, Any]):
    """A task, its arguments and its options. immutable: nothing is put before its arguments when it is a callback.

    A dict, as in Celery, with attributes for its entries; not every entry can be stored with a job (`as_dict`).
    """

    def __init__(
        self,
        task: Any = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        type: Task | None = None,  # noqa: A002 (Celery's name)
        subtask_type: str | None = None,
        immutable: bool = False,
        app: Celery | None = None,
        **more: Any,
    ) -> None:
        self._app = app or getattr(type or task, "app", None)
        if subtask_type is not None:
            raise NotSupported(f"{subtask_type}: {CANVAS}", hint=INSTEAD)
        given = dict(task) if isinstance(task, Mapping) else {
            "task": getattr(task, "name", task), "args": tuple(args or ()), "kwargs": dict(kwargs or {}),
            "options": {**(options or {}), **more}, "immutable": immutable,
        }  # fmt: skip
        super().__init__({"task": None, "args": (), "kwargs": {}, "options": {}, "subtask_type": None, **given})

    @classmethod
    def read(cls, given: Any, app: Celery | None) -> Signature:
        """From a Signature, a task, or a dict of one. Raises NotSupported (E105)."""
        if isinstance(given, Signature):
            return given
        if isinstance(given, Mapping) and isinstance(given.get("task"), str):
            if given.get("subtask_type"):
                raise NotSupported(f"{given['subtask_type']}: {CANVAS}", hint=INSTEAD)
            return cls(
                given["task"], untag(list(given.get("args") or ())), untag(dict(given.get("kwargs") or {})),
                given.get("options"), immutable=bool(given.get("immutable")), app=app,
            )  # fmt: skip
        if hasattr(given, "apply_async"):
            return cls(given)
        raise NotSupported(f"{given!r} is no signature", hint="task.s(...)")

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: Celery | None = None) -> Signature:
        return cls.read(d, app)

    # Its parts.
    @property
    def app(self) -> Celery:
        return self._app or current.app()

    @property
    def task(self) -> str:
        return str(self["task"])

    name = task

    @property
    def args(self) -> tuple[Any, ...]:
        return tuple(self.get("args") or ())

    @property
    def kwargs(self) -> dict[str, Any]:
        found: dict[str, Any] = self.setdefault("kwargs", {})
        return found

    @property
    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = self.setdefault("options", {})
        return found

    @property
    def immutable(self) -> bool:
        return bool(self.get("immutable"))

    @property
    def subtask_type(self) -> None:
        return None

    @property
    def id(self) -> Any:
        return self.options.get("task_id")

    @property
    def type(self) -> Task:
        """The task. Raises NotRegistered."""
        return self.app.find(self.task)

    # Others from it.
    def clone(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature:
        """The same with arguments before its own, unless it is immutable, and with more options."""
        if self.immutable:
            args, kwargs = (), None
        own = {name: list(value) if isinstance(value, list) else value for name, value in self.options.items()}
        return Signature(
            self.task, (*(args or ()), *copy.deepcopy(self.args)), {**copy.deepcopy(self.kwargs), **(kwargs or {})},
            {**own, **options}, immutable=self.immutable, app=self._app,
        )  # fmt: skip

    partial = clone

    def replace(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Signature:  # fmt: skip
        """The same with other arguments or options."""
        made = self.clone()
        given = {"args": None if args is None else tuple(args), "kwargs": kwargs, "options": options}
        made.update({name: value for name, value in given.items() if value is not None})
        return made

    def set(self, immutable: bool | None = None, **options: Any) -> Self:
        """Change its options; returns itself."""
        if immutable is not None:
            self["immutable"] = immutable
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        self["immutable"] = immutable

    def freeze(self, _id: str | None = None, **_more: Any) -> AsyncResult:
        """Choose the id of the job that it will be."""
        task_id = self.options.setdefault("task_id", _id or new_task_id())
        return self.app.AsyncResult(task_id)

    def link(self, callback: Any) -> Any:
        return self._add("link", callback)

    def link_error(self, errback: Any) -> Any:
        return self._add("link_error", errback)

    def on_error(self, errback: Any) -> Self:
        """link_error, and returns itself."""
        self.link_error(errback)
        return self

    def _add(self, kind: str, callback: Any) -> Any:
        known = self.options.get(kind) or []
        known = known if isinstance(known, list) else [known]
        self.options[kind] = known if callback in known else [*known, callback]
        return callback

    # Calling it.
    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None, **options: Any,
    ) -> AsyncResult:  # fmt: skip
        del route_name  # which of Celery's routes is asked; here it is the task's
        call = self.clone(args, kwargs, **options)
        task = call.app.tasks.get(call.task)
        if task is None:
            return call.app.send_task(call.task, call.args, call.kwargs, **call.options)
        return task.apply_async(call.args, call.kwargs, **call.options)

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult:
        return self.apply_async(args, kwargs)

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EagerResult:
        call = self.clone(args, kwargs, **options)
        return call.type.apply(call.args, call.kwargs, **call.options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = self.clone(args, kwargs)
        return call.type(*call.args, **call.kwargs)

    def as_dict(self) -> dict[str, Any]:
        """As it is stored with the job that it follows. Raises NotSupported (E105)."""
        unsafe = [name for name, value in self.options.items() if name not in _SAFE_OPTIONS and value is not None]
        if unsafe:
            raise NotSupported(
                f"a callback cannot have {', '.join(unsafe)}", hint=f"it may have {', '.join(_SAFE_OPTIONS)}"
            )
        options = {name: value for name, value in self.options.items() if value is not None}
        for name in ("link", "link_error"):
            if name in options:
                options[name] = stored(options[name], self._app)
        for name in ("eta", "expires"):
            if hasattr(options.get(name), "isoformat"):
                options[name] = options[name].isoformat()
        return {
            "task": self.task, "args": tag(list(self.args)), "kwargs": {k: tag(v) for k, v in self.kwargs.items()},
            "options": options, "subtask_type": None, "immutable": self.immutable,
        }  # fmt: skip

    def __or__(self, _other: Any) -> NoReturn:
        raise NotSupported("a | b is a chain; " + CANVAS, hint=INSTEAD)

    def __copy__(self) -> Signature:
        return self.clone()

    def __deepcopy__(self, _memo: Any) -> Signature:
        return self.clone()

    def __reduce__(self) -> tuple[Any, ...]:
        return Signature, (dict(self),)

    def __repr__(self) -> str:
        shown = [repr(each) for each in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.task}({', '.join(shown)})"


def stored(given: Any, app: Celery | None) -> list[dict[str, Any]]:
    """One callback or many, as they are stored with a job. Raises NotSupported (E105)."""
    many = given if isinstance(given, (list, tuple)) else [given]
    return [Signature.read(each, app).as_dict() for each in many]


def signature(varies: Any, *args: Any, **kwargs: Any) -> Signature:
    """A signature of a task, of a task's name, or of a dict of one."""
    app = kwargs.get("app")
    if isinstance(varies, Signature):
        return varies.clone()
    return Signature.read(varies, app) if isinstance(varies, Mapping) else Signature(varies, *args, **kwargs)


subtask = signature


def maybe_signature(d: Any, app: Celery | None = None, clone: bool = False) -> Any:
    """A dict of a signature as one; anything else as it is."""
    if isinstance(d, Signature):
        return d.clone() if clone else d
    return Signature.read(d, app) if isinstance(d, Mapping) else d


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
