"""The checker is itself checked: a right history passes, and every wrong one is caught."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from checker import violations
from fire_history import Event, History
from recorder import FILE, Call, read_calls, record

from jobsworth import Job, State
from jobsworth.engine import Pulse, QueueSettings, Turn, Want, Where, WorkerCard
from jobsworth.engines.memory import MemoryEngine
from jobsworth.errors import EngineUnavailable
from jobsworth.job import Attempt, Claim, Failure, Lease, NewJob, Progress, Receipt
from jobsworth.lifecycle import CANCEL, Settlement

HALF, WHOLE = Progress(1, 2, 50.0), Progress(2, 2, 100.0)
ENQUEUED, A1, B1, PULSE, A_ENDS, TAKEN, RESCUED, B2, B_ENDS, CANCEL_C, PAUSED, LATE, RESUMED = range(13)


def new(id_: str, **options: Any) -> NewJob:
    return NewJob(id=id_, queue="q", task="t", args=b'{"n":%d}' % (ord(id_) - 96), max_attempts=3, **options)


def claim(id_: str, fence: int, attempt: int = 1, **options: Any) -> Claim:
    args = b'{"n":%d}' % (ord(id_) - 96)
    return Claim(
        lease=Lease(id_, fence), queue="q", task="t", args=args, attempt=attempt, errors=0, crashes=0, max_attempts=3,
        **options,
    )  # fmt: skip


def ending(id_: str, fence: int, target: State, outcome: str, **options: Any) -> Settlement:
    return Settlement(Lease(id_, fence), target, outcome, target, **options)


def right() -> History:
    """Three jobs: one plain, one whose first worker was killed, one cancelled before it started. A queue was paused."""
    common: dict[str, Any] = {"queue": "q", "task": "t", "max_attempts": 3}
    lost = Attempt(1, "w1", 11.4, 13.0, "lost", Failure("WorkerLost", "gone", "crashed"))
    jobs = [
        Job(id="a", state=State.COMPLETED, args=b'{"n":1}', attempt=1, result=b"2", progress=WHOLE,
            created_at=10.0, run_at=10.0, started_at=11.0, finished_at=12.0,
            attempts=(Attempt(1, "w2", 11.0, 12.0, "succeeded"),), **common),
        Job(id="b", state=State.COMPLETED, args=b'{"n":2}', attempt=2, crashes=1, result=b"4", key="k",
            created_at=10.0, run_at=13.0, started_at=13.5, finished_at=14.5,
            attempts=(lost, Attempt(2, "w2", 13.5, 14.5, "succeeded")), **common),
        Job(id="c", state=State.CANCELLED, args=b'{"n":3}', created_at=10.0, finished_at=15.0, cancel_requested=True,
            failure=Failure("Cancelled", "cancelled", "cancelled"), **common),
    ]  # fmt: skip
    events = [
        Event("start", "a", 5, 1, 100, 1.1, "q", args={"n": 1}),
        Event("start", "b", 7, 1, 101, 1.5, "q", args={"n": 2}),
        Event("end", "a", 5, 1, 100, 2.0, "q", value=2),
        Event("start", "b", 9, 2, 100, 3.7, "q", args={"n": 2}),
        Event("end", "b", 9, 2, 100, 4.0, "q", value=4),
    ]
    wants = [Want("q", 1, ("t",))]
    calls = [
        Call(verb="enqueue", pid=1, began=0.1, ended=0.2, wishes=[[new("a"), new("b", key="k"), new("c", delay=9.0)]],
             receipts=[[Receipt("a"), Receipt("b"), Receipt("c")]]),
        Call(verb="turn", pid=100, worker="w2", lease=1.0, began=0.9, ended=1.0, want=wants, claims=[claim("a", 5)]),
        Call(verb="turn", pid=101, worker="w1", lease=1.0, began=1.3, ended=1.4, want=wants, claims=[claim("b", 7)]),
        Call(verb="pulse", pid=101, worker="w1", lease=1.0, began=1.6, ended=1.7, pulses=[Pulse(Lease("b", 7), HALF)]),
        Call(verb="turn", pid=100, worker="w2", lease=1.0, began=2.1, ended=2.2,
             endings=[ending("a", 5, State.COMPLETED, "succeeded", result=b"2", progress=WHOLE)]),
        Call(verb="reclaim", pid=100, worker="w2", lease=1.0, began=2.9, ended=3.0, claims=[claim("b", 8)]),
        Call(verb="turn", pid=100, worker="w2", lease=1.0, began=3.1, ended=3.2,
             endings=[ending("b", 8, State.SCHEDULED, "lost", crashes=1, delay=0.2)]),
        Call(verb="turn", pid=100, worker="w2", lease=1.0, began=3.5, ended=3.6, want=wants, claims=[claim("b", 9, 2)]),
        Call(verb="turn", pid=100, worker="w2", lease=1.0, began=4.1, ended=4.2,
             endings=[ending("b", 9, State.COMPLETED, "succeeded", result=b"4")]),
        Call(verb="move", pid=1, began=5.0, ended=5.1, move="cancel", ids=["c"], moved=["c"]),
        Call(verb="configure", pid=1, began=6.0, ended=6.1, queue="q", paused=True),
        Call(verb="turn", pid=100, worker="w2", lease=1.0, began=6.5, ended=6.6, want=wants),
        Call(verb="configure", pid=1, began=7.0, ended=7.1, queue="q", paused=False),
    ]  # fmt: skip
    counts = {"q": {State.COMPLETED: 2, State.CANCELLED: 1, State.QUEUED: 0}}
    return History(
        {"a", "b", "c"},
        events,
        jobs,
        cancelled_waiting={"c"},
        disturbed={101},
        slots={"q": 1},
        calls=calls,
        counts=counts,
    )


def never_begun() -> History:
    """The same, but b's first worker was killed before it began, and the second run snoozed: its number came again."""
    history = right()
    snoozed, succeeded = Attempt(2, "w2", 13.5, 14.0, "snoozed"), Attempt(2, "w2", 14.2, 14.5, "succeeded")
    changed(history, 1, attempts=(history.jobs[1].attempts[0], snoozed, succeeded), started_at=14.2)
    history.events[:] = [event for event in history.events if (event.id, event.fence) != ("b", 7)]
    history.events += [
        Event("start", "b", 10, 2, 100, 4.6, "q", args={"n": 2}),
        Event("end", "b", 10, 2, 100, 4.7, "q", value=4),
    ]
    at = next(n for n, call in enumerate(history.calls) if call.endings and call.endings[0].lease == Lease("b", 9))
    told(history, at, endings=[ending("b", 9, State.SCHEDULED, "snoozed", delay=0.1)])
    history.calls[at + 1 : at + 1] = [
        Call(verb="turn", pid=100, worker="w2", lease=1.0, began=4.4, ended=4.5, want=[Want("q", 1, ("t",))],
             claims=[claim("b", 10, 2)]),
        Call(verb="turn", pid=100, worker="w2", lease=1.0, began=4.8, ended=4.9,
             endings=[ending("b", 10, State.COMPLETED, "succeeded", result=b"4")]),
    ]  # fmt: skip
    return history


def changed(history: History, which: int, **fields: object) -> None:
    history.jobs[which] = msgspec.structs.replace(history.jobs[which], **fields)


def moved(history: History, which: int, **fields: object) -> None:
    history.events[which] = replace(history.events[which], **fields)  # type: ignore[arg-type]


def told(history: History, which: int, **fields: object) -> None:
    history.calls[which] = msgspec.structs.replace(history.calls[which], **fields)


def sent(history: History, which: int, **fields: object) -> None:
    told(history, which, endings=[msgspec.structs.replace(history.calls[which].endings[0], **fields)])


def called(history: History, **fields: Any) -> None:
    began, ended, verb = fields.pop("at"), fields.pop("end"), fields.pop("verb")
    history.calls.append(Call(verb=verb, pid=100, worker="w2", began=began, ended=ended, **fields))


def expire_a(history: History) -> None:
    told(history, A1, claims=[claim("a", 5, expired=True)])


def short_lived_a(history: History) -> None:
    told(history, ENQUEUED, wishes=[[new("a", expires=0.1), new("b", key="k"), new("c", delay=9.0)]])


def delayed_a(history: History) -> None:
    told(history, ENQUEUED, wishes=[[new("a", delay=1.5), new("b", key="k"), new("c", delay=9.0)]])


def first_of_b(history: History, **fields: object) -> None:
    attempts = history.jobs[1].attempts
    changed(history, 1, attempts=(msgspec.structs.replace(attempts[0], **fields), *attempts[1:]))


def refuse_x(history: History) -> None:
    history.calls.insert(
        0, Call(verb="enqueue", pid=1, began=0.0, ended=0.01, wishes=[[new("a")]], failed="StorageFull")
    )
    told(
        history,
        ENQUEUED + 1,
        wishes=[[new("b", key="k"), new("c", delay=9.0)]],
        receipts=[[Receipt("b"), Receipt("c")]],
    )


Mutant = Callable[[History], object]
B_ENDED_LATE = {"verb": "turn", "at": 4.5, "end": 4.6}
MUTANTS: dict[str, tuple[Mutant, str]] = {
    # the store
    "an acknowledged job is gone": (lambda h: h.jobs.pop(2), "not there"),
    "a job that only a receipt names is gone": (lambda h: (h.acked.clear(), h.jobs.pop(2)), "not there"),
    "a job is stored twice": (lambda h: h.jobs.append(h.jobs[2]), "stored 2 times"),
    "a job is left running": (lambda h: changed(h, 0, state=State.RUNNING), "no final state"),
    "a job is left queued": (lambda h: changed(h, 2, state=State.QUEUED), "no final state"),
    "a refused enqueue runs": (lambda h: h.refused.add("a"), "ran although its enqueue was refused"),
    "a refused enqueue is there": (lambda h: h.refused.add("c"), "is there although its enqueue was refused"),
    "an enqueue that was refused at the door is there": (refuse_x, "is there although its enqueue was refused"),
    "a job nobody enqueued runs": (lambda h: moved(h, 0, id="x"), "nobody enqueued"),
    "a job cancelled waiting starts": (lambda h: h.events.append(Event("start", "c", 9, 1, 100, 9.0)), "cancelled"),
    "one lease is used twice": (lambda h: moved(h, 3, fence=7), "under one lease"),
    "leases shrink": (lambda h: moved(h, 3, fence=6), "earlier lease"),
    "a healthy process starts what was taken from it": (
        lambda h: (moved(h, 1, at=4.5), h.disturbed.clear()), "earlier lease",
    ),
    "two healthy workers run one job": (
        lambda h: (h.disturbed.clear(), h.events.insert(4, Event("end", "b", 7, 1, 101, 3.9, "q"))), "same time",
    ),
    "a zombie's result is kept": (lambda h: changed(h, 1, result=b"5"), "not what its last attempt returned"),
    "completed without an end": (lambda h: h.events.pop(), "never came to an end"),
    "an attempt starts after a cancel": (lambda h: h.cancelled_at.update(b=2.0), "after it was cancelled while"),
    "too many errors": (lambda h: changed(h, 0, errors=4), "4 errors, but 3"),
    "too many crashes": (lambda h: changed(h, 1, crashes=101), "101 crashes, but 100"),
    "an attempt is not counted": (lambda h: changed(h, 1, attempt=1), "the store knows 1"),
    "the counter and the history differ": (lambda h: changed(h, 1, attempt=3), "it counts 3 attempts, its history 2"),
    "arguments change": (lambda h: moved(h, 0, args={"n": 8}), "ran with"),
    "a crash is made up": (lambda h: h.disturbed.clear(), "did not happen"),
    "a crash is counted for nothing": (lambda h: changed(h, 0, crashes=1), "charged with 1 crashes, its history has 0"),
    "a crash is not charged": (lambda h: changed(h, 1, crashes=0), "charged with 0 crashes, its history has 1"),
    "an error is not charged": (lambda h: first_of_b(h, outcome="failed"), "charged with 0 errors, its history has 1"),
    "an attempt's number is left out": (lambda h: first_of_b(h, number=2), "attempt 2 is in its history where 1"),
    "a number is used again for nothing": (lambda h: first_of_b(h, outcome="released"), "attempt 2 is in its history"),
    "completed without success": (
        lambda h: changed(h, 1, attempts=h.jobs[1].attempts[:1], attempt=1), "completed, but its last attempt lost",
    ),
    "an attempt is made after a success": (lambda h: first_of_b(h, outcome="succeeded"), "after one had succeeded"),
    "more at once than slots": (lambda h: moved(h, 3, at=1.9), "at once"),
    "an attempt has no number": (lambda h: moved(h, 0, attempt=0), "without a number"),
    "a cancelled job has a result": (lambda h: changed(h, 2, result=b"6"), "it is cancelled and has a result"),
    "a dead letter says nothing": (lambda h: changed(h, 0, state=State.FAILED), "does not say why"),
    "success shows an error": (lambda h: changed(h, 0, failure=Failure("E", "e")), "completed, and yet it shows E"),
    "more is done than there is": (lambda h: changed(h, 0, progress=Progress(3, 2, 100.0)), "out of bounds"),
    "it starts early by the engine's clock": (lambda h: changed(h, 1, run_at=13.6), "before it was due"),
    "an expired one runs": (lambda h: changed(h, 1, expires_at=13.4), "after it had expired"),
    "it ends before it starts": (lambda h: changed(h, 0, finished_at=10.5), "in this order"),
    "two jobs have one key": (lambda h: changed(h, 0, key="k"), "alive under its key 'k'"),
    "a count is wrong": (lambda h: changed(h, 2, queue="other"), "queue q counts"),
    # the door
    "a job is there unasked": (lambda h: h.jobs.append(Job(id="z", queue="q", task="t", state=State.QUEUED, args=b"")),
                               "nobody asked for it"),
    "arguments are stored otherwise": (lambda h: changed(h, 0, args=b'{"n": 1}'), "its args is"),
    "arguments are given out otherwise": (
        lambda h: told(h, A1, claims=[msgspec.structs.replace(claim("a", 5), args=b"{}")]), "was given out with b'{}'",
    ),
    "a record is damaged": (lambda h: told(h, A1, claims=[claim("a", 5, corrupt="torn")]), "(torn)"),
    "a lease is given out twice": (lambda h: told(h, B2, claims=[claim("b", 8, 2)]), "was given out 2 times"),
    "fences go back": (lambda h: told(h, B2, claims=[claim("b", 6, 2)]), "lease 6 was given out after lease 8"),
    "a job is given to two": (lambda h: told(h, A_ENDS, claims=[claim("b", 8)]), "while lease 7 was held"),
    "a lease is taken over early": (lambda h: told(h, TAKEN, began=2.3, ended=2.4), "before it could run out"),
    "renewing is for nothing": (lambda h: told(h, PULSE, began=2.5, ended=2.6), "before it could run out"),
    "a stale ending is accepted": (
        lambda h: called(h, **B_ENDED_LATE, endings=[ending("b", 7, State.COMPLETED, "succeeded", result=b"4")]),
        "the ending of stale lease 7",
    ),
    "a stale pulse is accepted": (
        lambda h: called(h, verb="pulse", at=4.5, end=4.6, pulses=[Pulse(Lease("b", 7))]), "the pulse of stale lease 7",
    ),
    "a lease lives on after its ending": (
        lambda h: called(h, verb="pulse", at=4.5, end=4.6, pulses=[Pulse(Lease("b", 9))]), "a second pulse of lease 9",
    ),
    "a job is ended twice": (
        lambda h: called(h, **B_ENDED_LATE, endings=[ending("b", 9, State.COMPLETED, "succeeded", result=b"4")]),
        "ended 2 times",
    ),
    "a job starts without a lease": (lambda h: told(h, B2, claims=[]), "which nobody was given before"),
    "a job starts before its lease": (lambda h: moved(h, 0, at=0.8), "which nobody was given before"),
    "an expired job starts": (expire_a, "started although it had expired"),
    "another number runs than was given": (lambda h: told(h, B2, claims=[claim("b", 9, 3)]), "given out and ran as"),
    "a lost job starts in a healthy process": (
        lambda h: (moved(h, 1, at=3.05), h.disturbed.clear()), "in a healthy process after its lease was taken",
    ),
    "a delayed job is early": (delayed_a, "too early"),
    "an expired job is given out": (short_lived_a, "as if it had not expired"),
    "a retry does not wait": (lambda h: sent(h, RESCUED, delay=0.6), "of waiting were over"),
    "an ending is forgotten": (lambda h: sent(h, RESCUED, outcome="failed"), "its history does not say so"),
    "an ending is made up": (lambda h: told(h, RESCUED, endings=[]), "nobody sent that"),
    "a zombie completes what a healthy one ended": (lambda h: sent(h, B_ENDS, target=State.FAILED), "the store says"),
    "a final state is not final": (
        lambda h: called(h, verb="turn", at=8.0, end=8.1, claims=[claim("a", 11, 2)], want=[Want("q", 1, ("t",))]),
        "was given out again after it had ended as completed",
    ),
    "another result is stored than was sent": (lambda h: sent(h, B_ENDS, result=b"5"), "the holder of its lease sent"),
    "a stale note is kept": (lambda h: changed(h, 1, progress=HALF), "which the last holder of its lease never said"),
    "the last note is lost": (lambda h: changed(h, 0, progress=None), "last said was"),
    "progress goes back": (
        lambda h: h.calls.insert(PULSE + 1, Call(verb="pulse", pid=101, worker="w1", lease=1.0, began=1.8, ended=1.9,
                                                 pulses=[Pulse(Lease("b", 7), Progress(0, 2, 0.0))])),
        "progress of attempt 1 went back",
    ),
    "a cancelled job is given out": (
        lambda h: told(h, LATE, claims=[claim("c", 12)], began=5.5, ended=5.6), "was given out after it was cancelled",
    ),
    "a cancelled job is redone": (lambda h: changed(h, 2, state=State.COMPLETED), "cancelled while it waited, it is"),
    "a cancel is forgotten": (lambda h: changed(h, 2, cancel_requested=False), "does not know that somebody asked"),
    "a cancel is made up": (lambda h: changed(h, 0, cancel_requested=True), "nobody cancelled it"),
    "a paused queue works": (lambda h: told(h, LATE, claims=[claim("a", 12)]), "while queue q was paused"),
    "more is given than was asked for": (lambda h: told(h, A1, want=[]), "asked for 0 jobs of q and was given 1"),
    "more leases than slots": (lambda h: told(h, B1, pid=100, worker="w2"), "held 2 jobs of q"),
}  # fmt: skip


def test_a_right_history_passes() -> None:
    assert violations(right()) == []


def test_a_crash_before_a_run_has_begun_is_no_wrong_one() -> None:
    assert violations(never_begun()) == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_history_is_caught(name: str) -> None:
    history = right()
    mutate, words = MUTANTS[name]
    mutate(history)
    assert any(words in found for found in violations(history)), violations(history)


EXCUSED: dict[str, Mutant] = {
    "an enqueue without an answer was carried out": lambda h: (
        told(h, ENQUEUED, ended=None, receipts=[]),
        h.acked.clear(),
    ),
    "an enqueue that failed was carried out": (
        lambda h: (told(h, ENQUEUED, failed="EngineUnavailable", receipts=[]), h.acked.clear())
    ),
    "an ending without an answer was carried out": lambda h: told(h, B_ENDS, ended=None),
    "an ending was carried out unheard and then refused": lambda h: (
        told(h, B_ENDS, failed="EngineUnavailable"),
        called(h, **B_ENDED_LATE, endings=[ending("b", 9, State.COMPLETED, "succeeded", result=b"4")], refused=["b"]),
    ),
    "a stale ending is refused": lambda h: called(
        h, **B_ENDED_LATE, endings=[ending("b", 7, State.FAILED, "failed")], refused=["b"]
    ),
    "a stale pulse is refused": lambda h: called(
        h, verb="pulse", at=4.5, end=4.6, pulses=[Pulse(Lease("b", 7), WHOLE)], lost=["b"]
    ),
    "a cancel without an answer was carried out": lambda h: told(h, CANCEL_C, ended=None, moved=[]),
    "a stopped process starts what was taken from it": lambda h: moved(h, 1, at=4.5),
    "a stopped process starts it while it runs elsewhere": lambda h: moved(h, 1, at=3.8),
}


@pytest.mark.parametrize("name", EXCUSED)
def test_what_nobody_can_know_is_held_against_nobody(name: str) -> None:
    history = right()
    EXCUSED[name](history)
    assert violations(history) == []


def in_a_loop(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    def run(tmp_path: Path) -> None:
        asyncio.run(test(tmp_path))

    return run


# --- the recorder --------------------------------------------------------------------------------------------------


@in_a_loop
async def test_the_recorder_writes_down_what_passes_through_the_door(tmp_path: Path) -> None:
    engine = MemoryEngine()
    record(engine, tmp_path)
    await engine.open()
    await engine.enqueue([[new("a", meta=b"\xff\x00")], [new("b")]])
    [held] = (await engine.turn("w", [], [Want("q", 1, ("t",))], lease=5)).claims
    await engine.pulse(WorkerCard(id="w"), [Pulse(held.lease, HALF)], lease=5)
    stale = Settlement(Lease("a", 999, held.lease.row), State.COMPLETED, "succeeded", State.COMPLETED)
    assert (await engine.turn("w", [stale], [], lease=5)).refused == ["a"]
    assert await engine.move(Where(ids=("b",)), CANCEL) == ["b"]
    await engine.configure("q", QueueSettings(paused=True))
    enqueue, turn, pulse, refused, move, configure = read_calls(tmp_path)
    assert (enqueue.wishes[0][0].meta, enqueue.receipts) == (b"\xff\x00", [[Receipt("a")], [Receipt("b")]])
    assert (turn.worker, turn.lease, turn.want[0].limit, turn.claims) == ("w", 5, 1, [held])
    assert (pulse.pulses, pulse.lost) == ([Pulse(held.lease, HALF)], [])
    assert (refused.endings, refused.refused) == ([stale], ["a"])
    assert (move.move, move.ids, move.moved) == ("cancel", ["b"], ["b"])
    assert (configure.queue, configure.paused) == ("q", True)
    assert all(call.answered and call.began <= call.at for call in read_calls(tmp_path))


@in_a_loop
async def test_a_question_that_failed_is_known_by_what_was_raised(tmp_path: Path) -> None:
    engine = MemoryEngine()

    async def away(*values: object, **named: object) -> Turn:
        raise EngineUnavailable("gone")

    engine.turn = away  # type: ignore[method-assign]
    record(engine, tmp_path)
    with pytest.raises(EngineUnavailable):
        await engine.turn("w", [], [], lease=5)
    [call] = read_calls(tmp_path)
    assert (call.unknown, call.answered, call.failed) == (True, False, "EngineUnavailable")


@in_a_loop
async def test_a_line_that_a_kill_cut_short_harms_no_other(tmp_path: Path) -> None:
    engine = MemoryEngine()
    record(engine, tmp_path)
    await engine.enqueue([[new("a")]])
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes().rstrip()[:-5])  # the answer is cut
    await engine.enqueue([[new("b")]])
    first, second = read_calls(tmp_path)
    assert (first.unknown, second.answered) == (True, True)
