"""A real Chromium, a real server and a real worker for whoever asks; nothing may go wrong in a page unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from floor import Floor, Operator
from house import House
from stage import NewVisitor, Stage, Visitor

from servers import hire
from undertaker import Undertaker

P = TypeVar("P", House, Floor)
V = TypeVar("V", bound=Visitor)


@pytest.fixture(scope="session")
def _stage() -> Iterator[Stage]:
    stage = hire(Stage)
    stage.go()
    yield stage
    stage.close()


@pytest.fixture
def stage(_stage: Stage) -> Iterator[Stage]:
    """Chromium, for as long as the test lasts."""
    _stage.come()
    yield _stage
    _stage.go()


def _kept(make: Callable[[Undertaker, Path], P], folder: Path) -> Iterator[P]:
    """A place whose programs run until the test run is over, however it ends."""
    undertaker = Undertaker()
    place = make(undertaker, folder)
    yield place
    place.close()
    undertaker.dismiss()


def _guests(kind: type[V], stage: Stage, address: str) -> Iterator[Callable[..., V]]:
    """Make somebody who visits. When they leave, nothing has gone wrong in their tabs."""
    made: list[V] = []

    def new(base_url: str = address, **options: Any) -> V:
        made.append(kind(stage.browser, base_url, **options))
        return made[-1]

    yield new
    while made:
        made.pop().close()


@pytest.fixture(scope="session")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield from _kept(House, tmp_path_factory.mktemp("house"))


@pytest.fixture
def house(stage: Stage, _house: House) -> Iterator[House]:
    """The app: its server and its worker run. What a test leaves behind is ended."""
    _house.start()
    yield _house
    _house.clear()


@pytest.fixture
def visitors(stage: Stage, house: House) -> Iterator[NewVisitor]:
    """Make visitors of the app. Options are those of a Playwright context: color_scheme="dark", and so on."""
    yield from _guests(Visitor, stage, house.server.url)
    assert house.reports() == []


@pytest.fixture
def visitor(visitors: NewVisitor) -> Visitor:
    """Somebody with a browser."""
    return visitors()


@pytest.fixture(scope="session")
def _floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    yield from _kept(Floor, tmp_path_factory.mktemp("floor"))


@pytest.fixture
def floor(stage: Stage, _floor: Floor) -> Iterator[Floor]:
    """The shop floor behind the dashboard: its server and its worker run. It is empty."""
    _floor.start()
    yield _floor
    _floor.clear()


@pytest.fixture
def operators(stage: Stage, floor: Floor) -> Iterator[Callable[..., Operator]]:
    """Make people who look at the dashboard. Options are a level, and those of a Playwright context."""
    yield from _guests(Operator, stage, floor.server.url)


@pytest.fixture
def operator(operators: Callable[..., Operator]) -> Operator:
    """An admin with the dashboard."""
    return operators()
