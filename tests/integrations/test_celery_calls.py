"""Calls of Celery tasks: what may travel, how it is checked, signatures, names, and calls without a worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobsworth.errors import BadArguments, BadOption
from jobsworth.integrations.celery import (
    Celery,
    NotSupported,
    chain,
    current_app,
    group,
    shared_task,
)


@pytest.fixture
def plain() -> Iterator[Celery]:
    app = Celery("tasks", broker="memory://", backend="cache+memory://")
    yield app
    app.close()


def test_wrong_arguments_are_refused_where_they_are_given(plain: Celery) -> None:
    @plain.task
    def add(x: int, y: int) -> int:
        return x + y

    with pytest.raises(TypeError):
        add.delay(1)
    with pytest.raises(BadArguments):
        add.delay(1, 2, z=3)
    with pytest.raises(TypeError, match="set"):
        add.delay({1}, 2)
    with pytest.raises(BadOption, match="countdwn"):
        add.apply_async((1, 2), countdwn=3)
    with pytest.raises(NotSupported, match="pickle"):
        add.apply_async((1, 2), serializer="pickle")
    assert add(1, 2) == 3


def test_annotations_are_not_enforced_as_in_celery(plain: Celery) -> None:
    @plain.task
    def show(number: int, items: list[str]) -> str:
        return f"{number!r} {items!r}"

    with plain.jobs.worker():
        assert show.delay("7", {"a": 1}).get(timeout=10) == "'7' {'a': 1}"


def test_always_eager_stores_nothing(plain: Celery) -> None:
    @plain.task
    def add(x: int, y: int) -> int:
        return x + y

    plain.conf.task_always_eager = True
    assert add.delay(1, 2).get() == 3
    assert plain.jobs.find() == []
    plain.conf.task_eager_propagates = True

    @plain.task
    def fails() -> None:
        raise ValueError("now")

    with pytest.raises(ValueError, match="now"):
        fails.delay()


def test_shared_tasks_belong_to_the_app_that_is_meant() -> None:
    @shared_task(name="shared.double")
    def double(x: int) -> int:
        return 2 * x

    app = Celery("mine", broker="memory://")
    assert current_app.main == "mine"
    with app.jobs.worker():
        assert double.delay(4).get(timeout=10) == 8
    assert double.name == "shared.double"
    assert double(5) == 10
    app.close()


def test_what_composes_tasks_is_refused_by_name(plain: Celery) -> None:
    @plain.task
    def add(x: int, y: int) -> int:
        return x + y

    for refused in (lambda: chain(add.s(1, 2)), lambda: group([add.s(1, 2)]), lambda: add.s(1, 2) | add.s(3)):
        with pytest.raises(NotSupported, match="chains, groups and chords"):
            refused()
