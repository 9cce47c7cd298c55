"""The pytest plugin of Jobsworth's testing kit: fixtures that need no conftest.

pytest loads it in every run of whoever has Jobsworth installed. So it is a module by itself, which imports nothing of
Jobsworth until a fixture is asked for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jobsworth import Jobsworth
    from jobsworth.engine import Engine
    from jobsworth.integrations.celery import Celery, Task
    from jobsworth.integrations.celery.contrib.testing.worker import TestWorker
    from jobsworth.testing import DrainKit, HandClock, InlineKit, Kit, RealKit, Report

OPTION = "jobsworth_app"
_OURS = "jobsworth.integrations.celery"
_SHARED = ("celery_app", "celery_worker", "celery_session_app", "celery_session_worker")  # names, with Celery


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the app is, for who has several or imports it late."""
    parser.addini(OPTION, 'the Jobsworth that tests are about, as "module:name"', default="")


def pytest_configure(config: pytest.Config) -> None:
    """The marker that celery.contrib.pytest has, too."""
    config.addinivalue_line("markers", "celery(**settings): settings for the app of celery_app")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Where Celery's own plugin is enabled too, its fixtures of the same names may be those that a test got."""
    for name in _SHARED if _OURS in sys.modules else ():
        kind = type(getattr(item, "funcargs", {}).get(name))
        if kind.__module__.partition(".")[0] in ("celery", "pytest_celery"):
            item.warn(
                pytest.PytestWarning(
                    f"{name} is that of {kind.__module__}, which knows nothing of apps of {_OURS}: what this test "
                    "sends by one goes where that app lives. Take Celery's plugin out of pytest_plugins; or, while a "
                    f"program has apps of both, have a conftest.py say which: from jobsworth_pytest import {name}"
                )
            )


@pytest.fixture
def jobsworth_app(request: pytest.FixtureRequest) -> Jobsworth:
    """The Jobsworth that is tested: the one that the ini option names, else the test module's, else the only one."""
    from jobsworth.testing.which import app_of

    return app_of(str(request.config.getini(OPTION)), getattr(request, "module", None))


@pytest.fixture
def jobsworth_clock() -> HandClock:
    """The clock of the engine that the app is handed. It stands still until the test moves it."""
    from jobsworth.testing import HandClock

    return HandClock()


@pytest.fixture
def clock(jobsworth_clock: HandClock) -> HandClock:
    """The same: `clock.advance("3h")`."""
    return jobsworth_clock


@pytest.fixture
def jobsworth_engine(jobsworth_clock: HandClock) -> Engine:
    """The engine of jobs_fake, jobs_inline and jobs_drain. Override it for another one, made with that clock."""
    from jobsworth.engines.memory import MemoryEngine

    return MemoryEngine(jobsworth_clock)


@pytest.fixture
def jobs_fake(jobsworth_app: Jobsworth, jobsworth_clock: HandClock, jobsworth_engine: Engine) -> Iterator[Kit]:
    """Jobs are recorded and run by nobody."""
    from jobsworth.testing import fake

    with fake(jobsworth_app, jobsworth_clock, jobsworth_engine) as kit:
        yield kit


@pytest.fixture
def jobs_inline(jobsworth_app: Jobsworth, jobsworth_clock: HandClock, jobsworth_engine: Engine) -> Iterator[InlineKit]:
    """Jobs have run when `enqueue` returns."""
    from jobsworth.testing import inline

    with inline(jobsworth_app, jobsworth_clock, jobsworth_engine) as kit:
        yield kit


@pytest.fixture
def jobs_drain(jobsworth_app: Jobsworth, jobsworth_clock: HandClock, jobsworth_engine: Engine) -> Iterator[DrainKit]:
    """Jobs run when the test says `jobs_drain.drain()`, until nothing is due."""
    from jobsworth.testing import drain

    with drain(jobsworth_app, jobsworth_clock, jobsworth_engine) as kit:
        yield kit


@pytest.fixture
def jobs_real(
    request: pytest.FixtureRequest, jobsworth_app: Jobsworth, jobsworth_clock: HandClock, tmp_path: Path
) -> Iterator[RealKit]:
    """Jobs are in an SQLite file in `tmp_path`, and a worker process runs them."""
    from jobsworth.testing import real

    spec = str(request.config.getini(OPTION)) or None
    with real(jobsworth_app, tmp_path, jobsworth_clock, spec) as kit:
        yield kit


@pytest.fixture
def crash(jobsworth_app: Jobsworth) -> Callable[..., Report]:
    """Kill a handler wherever it matters, run it again, and tell what happened twice: see jobsworth.testing.crash."""
    from jobsworth.testing import crash as crash_in

    def crash_here(task: Any, *args: Any, **options: Any) -> Report:
        return crash_in(jobsworth_app, task, *args, **options)

    return crash_here


# What celery.contrib.pytest offers, for apps of jobsworth.integrations.celery.
@pytest.fixture(scope="session")
def celery_config() -> Mapping[str, Any]:
    """Settings of the app of celery_app and celery_session_app. Override it; `@pytest.mark.celery(...)` adds to it."""
    return {"broker_url": "memory://", "result_backend": "cache+memory://"}


@pytest.fixture(scope="session")
def celery_parameters() -> Mapping[str, Any]:
    """What `Celery(...)` is given beside. Override it."""
    return {}


@pytest.fixture(scope="session")
def celery_enable_logging() -> bool:
    """Whether a worker of that app writes the log to stderr. Override it; pytest captures the log in any case."""
    return False


@pytest.fixture(scope="session")
def use_celery_app_trap() -> bool:
    """Whether it is an error to ask for the current app. Override it."""
    return False


@pytest.fixture(scope="session")
def celery_includes() -> Sequence[str]:
    """Modules to import before a worker is started. Override it."""
    return ()


@pytest.fixture(scope="session")
def celery_class_tasks() -> Sequence[type[Task]]:
    """Tasks that are classes, for the app of celery_session_worker. Override it."""
    return ()


@pytest.fixture(scope="session")
def celery_worker_pool() -> str:
    """ "solo" or "threads". Override it."""
    return "solo"


@pytest.fixture(scope="session")
def celery_worker_parameters() -> Mapping[str, Any]:
    """What start_worker is given: concurrency, queues, hostname, shutdown_timeout... Override it."""
    return {}


@pytest.fixture
def celery_app(
    request: pytest.FixtureRequest,
    celery_config: Mapping[str, Any],
    celery_parameters: Mapping[str, Any],
    celery_enable_logging: bool,
    use_celery_app_trap: bool,
) -> Iterator[Celery]:
    """An app of the test's own. The jobs of the program's own apps live where its jobs do, as long as the test lasts.

    If the test asks for `clock`, that is its time.
    """
    from jobsworth.integrations.celery.contrib.testing.app import created

    clock = request.getfixturevalue("jobsworth_clock") if "jobsworth_clock" in request.fixturenames else None
    config = {**celery_config, **_marked(request)}
    with created(
        config, celery_parameters, enable_logging=celery_enable_logging, use_trap=use_celery_app_trap, clock=clock
    ) as app:
        yield app


@pytest.fixture
def celery_worker(
    celery_app: Celery,
    celery_includes: Sequence[str],
    celery_worker_pool: str,
    celery_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorker]:
    """A worker in this process, for the tasks of that app and of the program's own."""
    from jobsworth.integrations.celery.contrib.testing.worker import start_worker

    _import(celery_includes)
    with start_worker(celery_app, pool=celery_worker_pool, **celery_worker_parameters) as worker:
        yield worker


@pytest.fixture(scope="session")
def celery_session_app(
    request: pytest.FixtureRequest,
    celery_config: Mapping[str, Any],
    celery_parameters: Mapping[str, Any],
    celery_enable_logging: bool,
    use_celery_app_trap: bool,
) -> Iterator[Celery]:
    """The same for all tests of the session together; it is the current app."""
    from jobsworth.integrations.celery.contrib.testing.app import created

    config = {**celery_config, **_marked(request)}
    with created(config, celery_parameters, enable_logging=celery_enable_logging, use_trap=use_celery_app_trap) as app:
        if not use_celery_app_trap:
            app.set_current()
        yield app


@pytest.fixture(scope="session")
def celery_session_worker(
    celery_session_app: Celery,
    celery_includes: Sequence[str],
    celery_class_tasks: Sequence[type[Task]],
    celery_worker_pool: str,
    celery_worker_parameters: Mapping[str, Any],
) -> Iterator[TestWorker]:
    """A worker of that app, for all tests of the session together."""
    from jobsworth.integrations.celery.contrib.testing.worker import start_worker

    _import(celery_includes)
    for task in celery_class_tasks:
        celery_session_app.register_task(task)
    with start_worker(celery_session_app, pool=celery_worker_pool, **celery_worker_parameters) as worker:
        yield worker


@pytest.fixture
def depends_on_current_app(celery_app: Celery) -> None:
    """celery_app is the current app, also without a worker."""
    celery_app.set_current()


def _marked(request: pytest.FixtureRequest) -> dict[str, Any]:
    mark = request.node.get_closest_marker("celery")
    return dict(mark.kwargs) if mark else {}


def _import(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)
