"""What every fire test has: a seed that is printed, a crew that is gone afterwards, and figures that can be quoted."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from crew import Crew, Figures
from fire_app import App
from weather import Network, new_place, without_doorbell

FIGURES = "figures"
HARMLESS = ("test_history.py",)  # judges histories that were made up
WAITING = ("test_outages.py", "test_silence.py")  # for minutes, with next to nothing to do


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.path.name not in HARMLESS:
            item.add_marker(pytest.mark.fire)
            if item.path.name not in WAITING:
                item.add_marker(pytest.mark.alone)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The test's own; JOBSWORTH_SEED repeats one. pytest shows what was printed when the test fails."""
    number = int(os.environ.get("JOBSWORTH_SEED", random.SystemRandom().randrange(1_000_000)))
    print(f"{request.node.name}: repeat with JOBSWORTH_SEED={number}")
    random.seed(number)
    return number


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Any:
    """The server that a test is about: an indirect parameter names its fixture."""
    return request.getfixturevalue(request.param) if hasattr(request, "param") else None


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path, server: Any) -> str:
    """Where the jobs live: on `server`, or where an indirect parameter says: in memory, at a fixture; or in a file."""
    if server is not None:
        return new_place(server)
    place = getattr(request, "param", "sqlite")
    known = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path / 'jobs.db'}"}
    return known.get(place) or new_place(request.getfixturevalue(place))


@pytest.fixture
def network(url: str) -> Iterator[Network]:
    """The way to the server."""
    with Network(url) as network:
        yield network


@pytest.fixture
def far(network: Network, url: str, crew: Crew) -> Iterator[App]:
    """The app as it is used across the network. Sends nothing but its verbs."""
    app = App(network.through(without_doorbell(url)), crew.folder)
    yield app
    network.heal()
    app.jobs.close()


@pytest.fixture
def crew(tmp_path: Path, url: str, seed: int) -> Iterator[Crew]:
    crew = Crew(tmp_path, url)
    yield crew
    crew.close()


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    """Tell how many trials went how, and of their seconds the median and the worst: a line at the end of the run."""

    def tell(what: str, seconds: list[float] | None = None) -> None:
        if seconds:
            middle = f"median {median(seconds):.3f} s, worst " if len(seconds) > 1 else ""
            what += f": {middle}{max(seconds):.3f} s"
        record_property(FIGURES, what)

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            if getattr(report, "when", "") == "call":
                for what in [what for name, what in report.user_properties if name == FIGURES]:
                    terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}, {outcome}: {what}")
