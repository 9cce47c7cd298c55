"""An app of a test's own, and one place for the jobs of every app of the process for as long as the test lasts.

In Celery only what is declared on the test's own app is kept from the broker that the program names. Here a program's
own apps stay in the test's place too, so that nothing a test calls reaches the store that they name.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, NoReturn, Self, cast

from jobsworth.bridge import Bridge
from jobsworth.engine import Engine
from jobsworth.engines import from_url
from jobsworth.home import Home
from jobsworth.integrations.celery import current
from jobsworth.integrations.celery.app import Celery
from jobsworth.integrations.celery.exceptions import DiffersFromCelery
from jobsworth.job import NewJob, Receipt
from jobsworth.testing import HandClock
from jobsworth.testing.kit import PATIENCE, check_mode

BROKER, BACKEND = "memory://", "cache+memory://"  # of an app that says nothing else
POOL = "solo"  # of every app that stays in a place: what tests patch does not reach child processes


class Trap:
    """Stands where the current app would be, and raises whatever it is asked."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError("Test depends on current_app")


def TestApp(  # noqa: N802 (Celery's name)
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    enable_logging: bool = False,
    set_as_current: bool = False,
    backend: str | None = None,
    broker: str | None = None,
    **parameters: Any,
) -> Celery:
    """An app at memory://, unless `config` or `broker` says otherwise.

    enable_logging: a worker of it writes the log to stderr, from its loglevel on.
    """
    given = dict(config or {})
    broker = given.pop("broker_url", None) if broker is None else broker
    backend = given.pop("result_backend", None) if backend is None else backend
    if broker is None:
        broker, backend = BROKER, backend or BACKEND
    made = Celery(
        name or "celery.tests", broker=broker, backend=backend, set_as_current=set_as_current, changes=given,
        **parameters,
    )  # fmt: skip
    if enable_logging:
        _talkative.append(made)
    return made


TestApp.__test__ = False  # type: ignore[attr-defined] # it is no test, whatever its name begins with
_talkative: list[Celery] = []


@contextmanager
def logging_of(app: Celery, level: str | int) -> Iterator[None]:
    """Write the log to stderr, if that was asked for when the app was made."""
    if app not in _talkative:
        yield
        return
    root, handler = logging.getLogger(), logging.StreamHandler(sys.stderr)
    before, wanted = root.level, level.upper() if isinstance(level, str) else level
    handler.setFormatter(logging.Formatter("[%(asctime)s: %(levelname)s/%(threadName)s] %(message)s"))
    handler.setLevel(wanted)
    root.addHandler(handler)
    root.setLevel(min(before or logging.WARNING, handler.level))
    try:
        yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


@contextmanager
def setup_default_app(
    app: Celery, use_trap: bool = False, *, clock: HandClock | None = None, for_long: bool = False
) -> Iterator[Celery]:
    """Within the block the jobs of all apps live where this one's do, whichever app is current. Afterwards all is as
    before, and no shared task is declared in this app any more.

    use_trap: whoever asks for the current app raises RuntimeError.
    clock:    the time of that place.
    for_long: other places, and modes of the testing kit, may have those jobs for a while. Else that is an error.
    """
    try:
        with current.as_before(), Place(app, clock, for_long=for_long):
            if use_trap:
                current.become(cast(Celery, Trap()))
            yield app
    finally:
        current.leave(app)
        if app in _talkative:
            _talkative.remove(app)


@contextmanager
def created(
    config: Mapping[str, Any],
    parameters: Mapping[str, Any] | None = None,
    *,
    enable_logging: bool = False,
    use_trap: bool = False,
    clock: HandClock | None = None,
    for_long: bool = False,
) -> Iterator[Celery]:
    """What the fixtures celery_app and celery_session_app are."""
    app = TestApp(config=config, enable_logging=enable_logging, **(parameters or {}))
    with setup_default_app(app, use_trap, clock=clock, for_long=for_long):
        yield app


class Place:
    """Where the jobs of all apps live for a while. The innermost is the one that counts."""

    _open: ClassVar[list[Place]] = []

    def __init__(self, app: Celery, clock: HandClock | None = None, *, for_long: bool = False) -> None:
        home = app.jobs.home()
        engine = from_url(home.url, clock=clock)
        self._app = app
        self.clock = clock
        self.home = Home(home.url, engine, _Telling(engine, self), for_long)
        self.home.bridge.patience = PATIENCE  # nothing runs by itself
        self.home.bridge.advice = "is there a celery_worker in this test? With the clock, what is delayed waits for it"
        self.stored: list[Callable[[Sequence[NewJob]], None]] = []  # called after each store
        self.apps: list[Celery] = []
        self._stack = ExitStack()

    @classmethod
    def of(cls, app: Celery) -> Place | None:
        """The place where an app's jobs live now; None if that is its own."""
        return next((place for place in reversed(cls._open) if app in place.apps), None)

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.enter_context(current.looking_on(self._take_in))
            for app in dict.fromkeys([self._app, *current.apps()]):
                self._take_in(app)
            self._open.append(self)
            self._stack.callback(self._open.remove, self)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self._stack.close()
        finally:
            self.home.bridge.close()

    @contextmanager
    def waiting(self, patience: float | None) -> Iterator[None]:
        """Within the block so many seconds are waited for a result where no timeout is given."""
        before, self.home.bridge.patience = self.home.bridge.patience, patience
        try:
            yield
        finally:
            self.home.bridge.patience = before

    def _take_in(self, app: Celery) -> None:
        if self._open and self._open[-1] is not self and self in self._open:
            return  # an inner place has it
        check_mode(app.jobs)
        self._stack.enter_context(app.jobs.staying(self.home))
        self._stack.enter_context(_in_threads(app))
        self.apps.append(app)


@contextmanager
def _in_threads(app: Celery) -> Iterator[None]:
    """Child processes would find the app's own store. That soft limits interrupt no thread is no news of the test's."""
    given, before = app.conf.given("worker_pool"), app.conf.worker_pool
    with _unwarned():
        app.conf.worker_pool = POOL
    try:
        yield
    finally:
        with _unwarned():
            if given:
                app.conf.worker_pool = before
            elif app.conf.given("worker_pool"):
                del app.conf["worker_pool"]


@contextmanager
def _unwarned() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DiffersFromCelery)
        yield


class _Telling(Bridge):
    """Tells the place of whatever was stored."""

    def __init__(self, engine: Engine, place: Place) -> None:
        super().__init__(engine)
        self._place = place

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        receipts = super().enqueue(jobs)
        self._tell(jobs)
        return receipts

    async def aenqueue(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        receipts = await super().aenqueue(jobs)
        await asyncio.to_thread(self._tell, jobs)
        return receipts

    def _tell(self, jobs: Sequence[NewJob]) -> None:
        for tell in list(self._place.stored):
            tell(jobs)
