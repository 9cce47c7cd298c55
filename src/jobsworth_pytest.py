"""The pytest plugin of Jobsworth's testing kit: fixtures that need no conftest.

pytest loads it in every run of whoever has Jobsworth installed. So it is a module by itself, which imports nothing of
Jobsworth until a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jobsworth import Jobsworth
    from jobsworth.engine import Engine
    from jobsworth.testing import DrainKit, HandClock, InlineKit, Kit, RealKit, Report

OPTION = "jobsworth_app"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the app is, for who has several or imports it late."""
    parser.addini(OPTION, 'the Jobsworth that tests are about, as "module:name"', default="")


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
