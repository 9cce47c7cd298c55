"""A worker in the process that serves pages: when it begins, and when it does not."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django", reason="Django is not installed: pip install 'jobsworth[django]'")
import django_house
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started
from django.test import Client
from django.test.client import ClientHandler
from django_site.shop.jobs import echo

from jobsworth import Jobsworth
from jobsworth.errors import EngineUnavailable
from jobsworth.integrations.django import serving
from jobsworth.worker import Worker
from waiting import until


class Server(WSGIHandler):
    """As runserver has one."""


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], Any]]]:
    """What is to be done when the process ends; done when the test ends."""
    found: list[Callable[[], Any]] = []
    monkeypatch.setattr(atexit, "register", lambda call, *given: found.append(lambda: call(*given)))
    monkeypatch.setattr(serving, "AGAIN", 0.01)
    monkeypatch.setattr(serving, "_begun", set())
    yield found
    for end in found:
        end()


def living(folder: Path, worker: Any) -> Any:
    return django_house.living_on(f"sqlite:///{folder}/shop.db", WORKER=worker)


def begun(jobs: Jobsworth, ends: list[Any]) -> list[dict[str, int]]:
    until(lambda: ends, what="a worker has begun")
    return [card.queues for card in jobs.workers()]


@pytest.mark.parametrize("handler", [WSGIHandler, ASGIHandler, Server])
def test_it_begins_once_with_the_first_request_and_ends_with_the_process(
    handler: type, tmp_path: Path, ends: list[Callable[[], Any]]
) -> None:
    with living(tmp_path, {"queues": {"default": 2}, "name": "within"}) as jobs:
        assert jobs.workers() == []
        for _ in range(3):
            request_started.send(sender=handler)
        assert begun(jobs, ends) == [{"default": 2}]
        assert echo.enqueue("a").result(timeout=20) == "a"
        assert len(ends) == 1
        ends.pop()()
        assert jobs.workers() == []


def test_it_does_not_begin_for_a_test_client_or_where_nobody_wants_it(tmp_path: Path, ends: list[Any]) -> None:
    with living(tmp_path, True):
        request_started.send(sender=ClientHandler)
        Client().get("/background/livez")
        assert serving._begun == set()
    with living(tmp_path, False):
        request_started.send(sender=WSGIHandler)
    assert ends == []


def test_pages_are_there_while_the_engine_is_not_and_it_begins_afterwards(
    tmp_path: Path, ends: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    enter, tries = Worker.__enter__, 0

    def away_at_first(self: Worker) -> Worker:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise EngineUnavailable("nobody answers")
        return enter(self)

    monkeypatch.setattr(Worker, "__enter__", away_at_first)
    with living(tmp_path, True) as jobs:
        request_started.send(sender=WSGIHandler)
        assert len(begun(jobs, ends)) == 1
        assert caplog.text.count("no worker yet") == 2
        ends.pop()()
