"""The checker is itself checked: a right history passes, and every wrong one is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from fire_history import Event, History, violations

from jobsworth import Job, State


def right() -> History:
    """Three jobs: one plain, one whose first worker was killed, one cancelled before it started."""
    jobs = [
        Job(id="a", queue="q", task="t", state=State.COMPLETED, args=b'{"n":1}', attempt=1, result=b"2"),
        Job(id="b", queue="q", task="t", state=State.COMPLETED, args=b'{"n":2}', attempt=2, crashes=1, result=b"4"),
        Job(id="c", queue="q", task="t", state=State.CANCELLED, args=b'{"n":3}'),
    ]
    events = [
        Event("start", "a", 5, 1, 100, 1.0, "q", args={"n": 1}),
        Event("start", "b", 7, 1, 101, 1.5, "q", args={"n": 2}),
        Event("end", "a", 5, 1, 100, 2.0, "q", value=2),
        Event("start", "b", 8, 2, 100, 3.0, "q", args={"n": 2}),
        Event("end", "b", 8, 2, 100, 4.0, "q", value=4),
    ]
    return History({"a", "b", "c"}, events, jobs, cancelled_waiting={"c"}, disturbed={101}, slots={"q": 1})


def changed(history: History, which: int, **fields: object) -> None:
    history.jobs[which] = msgspec.structs.replace(history.jobs[which], **fields)


def moved(history: History, which: int, **fields: object) -> None:
    history.events[which] = replace(history.events[which], **fields)  # type: ignore[arg-type]


Mutant = Callable[[History], object]
MUTANTS: dict[str, tuple[Mutant, str]] = {
    "an acknowledged job is gone": (lambda h: h.jobs.pop(2), "not there"),
    "a job is stored twice": (lambda h: h.jobs.append(h.jobs[2]), "stored 2 times"),
    "a job is left running": (lambda h: changed(h, 0, state=State.RUNNING), "no final state"),
    "a job is left queued": (lambda h: changed(h, 2, state=State.QUEUED), "no final state"),
    "a refused enqueue runs": (lambda h: h.refused.add("a"), "refused"),
    "a job nobody enqueued runs": (lambda h: moved(h, 0, id="x"), "nobody enqueued"),
    "a job cancelled waiting starts": (lambda h: h.events.append(Event("start", "c", 9, 1, 100, 9.0)), "cancelled"),
    "one lease is used twice": (lambda h: moved(h, 3, fence=7), "under one lease"),
    "leases shrink": (lambda h: moved(h, 3, fence=6), "earlier lease"),
    "two healthy workers run one job": (lambda h: h.disturbed.clear(), "same time"),
    "a zombie's result is kept": (lambda h: changed(h, 1, result=b"5"), "not what its last attempt returned"),
    "completed without an end": (lambda h: h.events.pop(), "never came to an end"),
    "an attempt starts after a cancel": (lambda h: h.cancelled_at.update(b=2.0), "after it was cancelled while"),
    "too many errors": (lambda h: changed(h, 0, errors=2), "errors"),
    "too many crashes": (lambda h: changed(h, 1, crashes=101), "crashes"),
    "an attempt is not counted": (lambda h: changed(h, 1, attempt=1), "the store knows 1"),
    "arguments change": (lambda h: moved(h, 0, args={"n": 8}), "ran with"),
    "a crash is made up": (lambda h: changed(h, 0, crashes=1), "did not happen"),
    "more at once than slots": (lambda h: moved(h, 3, at=1.9), "at once"),
    "an attempt has no number": (lambda h: moved(h, 0, attempt=0), "without a number"),
}


def test_a_right_history_passes() -> None:
    assert violations(right()) == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_history_is_caught(name: str) -> None:
    history = right()
    mutate, words = MUTANTS[name]
    mutate(history)
    assert any(words in found for found in violations(history)), violations(history)
