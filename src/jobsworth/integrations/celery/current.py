"""Which app is meant where none is named, and tasks that are declared for whichever it will be (`shared_task`)."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from . import request

if TYPE_CHECKING:
    from .app import Celery
    from .task import Task

Declare = Callable[["Celery"], "Task"]
_lock = threading.RLock()
_apps: weakref.WeakSet[Celery] = weakref.WeakSet()
_shared: list[tuple[Callable[..., Any], Declare]] = []
_onlookers: list[Callable[[Celery], None]] = []
_meant: list[Celery] = []  # the one that is meant, last. A list: a module's attribute is where others look for an app


def joined(made: Celery, *, current: bool) -> None:
    """An app was made: it gets every shared task that is declared already, and those to come."""
    with _lock:
        _apps.add(made)
        if current:
            _meant[:] = [made]
        declared = list(_shared)
        onlookers = list(_onlookers)
    for onlooker in onlookers:
        onlooker(made)
    for _, declare in declared:
        declare(made)


def become(made: Celery) -> None:
    """This one is meant from now on."""
    _meant[:] = [made]


def be_default(made: Celery) -> None:
    """This one is meant where none is."""
    if not _meant:
        become(made)


def app() -> Celery:
    """The app that is meant: the one that was made last, unless it said no; one of its own if there is none."""
    if not _meant:
        from .app import Celery

        Celery("default")
    return _meant[-1]


def share(fn: Callable[..., Any], declare: Declare) -> None:
    """Declare a function as a task in every app, those to come included."""
    with _lock:
        _shared.append((fn, declare))
        known = list(_apps)
    for each in known:
        declare(each)


def apps() -> list[Celery]:
    """Every app of this process that is still in use."""
    with _lock:
        return list(_apps)


@contextmanager
def looking_on(onlooker: Callable[[Celery], None]) -> Iterator[None]:
    """Within the block it is called with each app that is made."""
    _onlookers.append(onlooker)
    try:
        yield
    finally:
        _onlookers.remove(onlooker)


@contextmanager
def as_before() -> Iterator[None]:
    """After the block the app is meant that was meant before, and shared tasks are gone that functions declared.

    Those of a module stay, whenever it was imported: it is imported once.
    """
    meant, shared = list(_meant), list(_shared)
    try:
        yield
    finally:
        with _lock:
            _meant[:] = meant
            gone = [fn for fn, declare in _shared if (fn, declare) not in shared and "<locals>" in fn.__qualname__]
            _shared[:] = [(fn, declare) for fn, declare in _shared if fn not in gone]
        for each in apps():
            each.forget(gone)


def leave(made: Celery) -> None:
    """No shared task is declared in this app any more."""
    with _lock:
        _apps.discard(made)


class Proxy:
    """Stands for what is asked for anew each time."""

    __slots__ = ("_find",)
    _find: Callable[[], Any]

    def __init__(self, find: Callable[[], Any]) -> None:
        object.__setattr__(self, "_find", find)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._find(), name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._find()(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self._find())

    def __bool__(self) -> bool:
        return self._find() is not None

    def __eq__(self, other: object) -> bool:
        return bool(self._find() == (other._find() if isinstance(other, Proxy) else other))

    def __hash__(self) -> int:
        return hash(self._find())


def task() -> Task | None:
    """The task that runs here."""
    found = request.running()
    return found[0] if found else None


current_app: Any = Proxy(app)
current_task: Any = Proxy(task)
