"""A real Chromium, a real server and a real worker for whoever asks; nothing may go wrong in a page unnoticed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from floor import Floor, Operator
from house import House
from stage import NewVisitor, Stage, Visitor

from servers import hire
from undertaker import Undertaker


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


@pytest.fixture(scope="session")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    undertaker = Undertaker()
    house = House(undertaker, tmp_path_factory.mktemp("house"))
    yield house
    house.close()
    undertaker.dismiss()


@pytest.fixture
def house(stage: Stage, _house: House) -> Iterator[House]:
    """The app: its server and its worker run. What a test leaves behind is ended."""
    _house.start()
    yield _house
    _house.clear()


@pytest.fixture
def visitors(stage: Stage, house: House) -> Iterator[NewVisitor]:
    """Make visitors of the app. Options are those of a Playwright context: color_scheme="dark", and so on."""
    made: list[Visitor] = []

    def new(base_url: str = house.server.url, **options: Any) -> Visitor:
        made.append(Visitor(stage.browser, base_url, **options))
        return made[-1]

    yield new
    while made:
        made.pop().close()
    assert house.reports() == []


@pytest.fixture
def visitor(visitors: NewVisitor) -> Visitor:
    """Somebody with a browser."""
    return visitors()


@pytest.fixture(scope="session")
def _floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    undertaker = Undertaker()
    floor = Floor(undertaker, tmp_path_factory.mktemp("floor"))
    yield floor
    floor.close()
    undertaker.dismiss()


@pytest.fixture
def floor(stage: Stage, _floor: Floor) -> Iterator[Floor]:
    """The shop floor behind the dashboard: its server and its worker run. It is empty."""
    _floor.start()
    yield _floor
    _floor.clear()


@pytest.fixture
def operators(stage: Stage, floor: Floor) -> Iterator[Callable[..., Operator]]:
    """Make people who look at the dashboard. Options are a level, and those of a Playwright context."""
    made: list[Operator] = []

    def new(base_url: str = floor.server.url, **options: Any) -> Operator:
        made.append(Operator(stage.browser, base_url, **options))
        return made[-1]

    yield new
    while made:
        made.pop().close()


@pytest.fixture
def operator(operators: Callable[..., Operator]) -> Operator:
    """An admin with the dashboard."""
    return operators()
