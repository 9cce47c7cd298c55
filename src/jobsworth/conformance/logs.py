"""Promises about what handlers log: it belongs to the run that logged it, is bounded, and written under its lease."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from jobsworth.engine import WorkerCard
from jobsworth.job import Claim, LogLine, Progress, State
from jobsworth.lifecycle import REDRIVE, Settlement, settle
from jobsworth.logged import KEPT, RUNS, Logged
from jobsworth.outcome import Failed, Lost, Outcome, Released, Snoozed, Stopped, Succeeded

from .door import BROKEN, LEASE, RETRY, Door, Hall, new_job

ENDINGS: list[Outcome] = [
    Succeeded(b"1"), Succeeded(None), Succeeded(b"1", Progress(1, 1)), Failed(BROKEN, delay=0.0),
    Failed(BROKEN, final=True), Snoozed(5.0), Stopped("enough"), Released(),
]  # fmt: skip


def lines(first: int = 1, last: int | None = None, message: str = "line {}") -> tuple[LogLine, ...]:
    """Lines numbered so, logged a hundredth of a second apart."""
    numbers = range(first, (first if last is None else last) + 1)
    return tuple(LogLine(number, number / 100, "INFO", "app", message.format(number)) for number in numbers)


def numbers(told: list[Logged]) -> list[int]:
    """Which lines these are, within their attempts."""
    return [line.number for line in told]


def ending(claim: Claim, outcome: Outcome, said: tuple[LogLine, ...]) -> Settlement:
    """How a run ends, with its last lines."""
    return replace(settle(claim, outcome, RETRY), lines=said)


def talk_too_much(door: Door) -> None:
    """A job with more runs than are kept, of which the last has more lines than are kept, a few at a time."""
    job_id = door.add()
    for _ in range(RUNS + 5):
        door.turn([ending(door.again(job_id), Released(), lines(1))])
    claim = door.again(job_id)
    for number in range(1, KEPT + 20):
        door.pulse(claim, lines=lines(number))


class Logs(Hall):
    """logs(), and the lines of pulse() and turn()."""

    # coming in

    def test_a_pulse_brings_lines(self, door: Door) -> None:
        claim = door.take()
        began = door.clock.now
        door.clock.advance(3)
        door.pulse(claim, lines=(LogLine(1, 0.25, "INFO", "app.mail", "to Ada"), LogLine(2, 2.5, "ERROR", "app", "no")))
        assert door.logs(claim.lease.job_id) == [
            Logged(1, 1, 1, began + 0.25, "INFO", "app.mail", "to Ada"),
            Logged(2, 1, 2, began + 2.5, "ERROR", "app", "no"),
        ]

    def test_lines_of_several_pulses_stand_in_order(self, door: Door) -> None:
        claim, other = door.take(), door.take()
        for first in (1, 3, 4):
            door.pulse(claim, lines=lines(first, first + (first == 1)))
            door.pulse(other, lines=lines(first, first + (first == 1), "other {}"))
        told = door.logs(claim.lease.job_id)
        assert [line.message for line in told] == ["line 1", "line 2", "line 3", "line 4"]
        assert [line.place for line in told] == [1, 2, 3, 4]

    @pytest.mark.parametrize("outcome", ENDINGS, ids=str)
    def test_the_last_lines_come_with_the_ending(self, door: Door, outcome: Outcome) -> None:
        claim = door.take()
        began = door.clock.now
        door.pulse(claim, lines=lines(1))
        door.clock.advance(1)
        assert door.turn([ending(claim, outcome, lines(2, 3))]).refused == []
        told = door.logs(claim.lease.job_id)
        assert [(line.number, line.attempt, line.at) for line in told] == [
            (number, 1, began + number / 100) for number in (1, 2, 3)
        ]

    def test_endings_with_and_without_lines_are_written_in_one_turn(self, door: Door) -> None:
        door.enqueue(*(new_job(id=f"n{number}") for number in range(6)))
        claims = door.claim(6)
        outcomes: list[Outcome] = [Succeeded(b"1"), Failed(BROKEN, final=True)] * 3
        said = [lines(1, number) if number else () for number in (0, 0, 1, 2, 0, 3)]
        assert door.turn([ending(*each) for each in zip(claims, outcomes, said, strict=True)]).refused == []
        assert [len(door.logs(f"n{number}")) for number in range(6)] == [0, 0, 1, 2, 0, 3]
        assert door.count(states=(State.COMPLETED,)) == door.count(states=(State.FAILED,)) == 3

    def test_lines_change_nothing_else_that_is_seen(self, door: Door) -> None:
        claim = door.take()
        before = door.job(claim.lease.job_id)
        door.clock.advance(1)
        door.pulse(claim, lines=lines(1, 5))
        assert door.job(claim.lease.job_id) == before

    def test_a_pulse_with_lines_renews_its_lease_and_brings_progress(self, door: Door) -> None:
        claim = door.take()
        door.clock.advance(LEASE - 1)
        door.pulse(claim, progress=Progress(1, 2), lines=lines(1))
        door.clock.advance(LEASE - 1)
        assert door.reclaim() == []
        assert door.job(claim.lease.job_id).progress == Progress(1, 2)

    @pytest.mark.parametrize(
        "message", ["näh 🦀 日本", "\0 \x1b[2J \x7f \u2028 \\u0000 \\", "", "two\nlines", "x" * 20_000]
    )
    def test_any_text_comes_back_as_it_went_in(self, door: Door, message: str) -> None:
        claim = door.take()
        door.pulse(claim, lines=(LogLine(1, 0.0, "Level 15", "näh.日本", message),))
        door.turn([ending(claim, Succeeded(b"1"), (LogLine(2, 0.0, "INFO", "", message),))])
        assert [(line.level, line.logger, line.message) for line in door.logs(claim.lease.job_id)] == [
            ("Level 15", "näh.日本", message), ("INFO", "", message),
        ]  # fmt: skip

    # the fence

    def test_a_stale_lease_writes_no_lines(self, door: Door) -> None:
        stale = door.take()
        door.pulse(stale, lines=lines(1))
        door.clock.advance(LEASE)
        [rescue] = door.reclaim()
        assert door.pulse(stale, lines=lines(2)).lost == [stale.lease.job_id]
        assert door.turn([ending(stale, Succeeded(b"1"), lines(2))]).refused == [stale.lease.job_id]
        assert door.turn([ending(stale, Failed(BROKEN), lines(2))]).refused == [stale.lease.job_id]
        assert door.end(rescue, Lost())
        door.pulse(stale, card=WorkerCard(id="sleeper"), lines=lines(2))
        assert numbers(door.logs(stale.lease.job_id)) == [1]

    def test_after_the_ending_there_are_no_more_lines(self, door: Door) -> None:
        claim = door.take()
        door.turn([ending(claim, Succeeded(b"1"), lines(1))])
        door.pulse(claim, lines=lines(2))
        door.turn([ending(claim, Succeeded(b"1"), lines(2))])
        assert numbers(door.logs(claim.lease.job_id)) == [1]

    def test_good_and_stale_lines_of_one_turn_are_told_apart(self, door: Door) -> None:
        stale = door.take()
        door.clock.advance(LEASE)
        door.reclaim()
        good = door.take()
        both = [ending(claim, Succeeded(b"1"), lines(1)) for claim in (stale, good)]
        assert door.turn(both).refused == [stale.lease.job_id]
        assert door.logs(stale.lease.job_id) == []
        assert numbers(door.logs(good.lease.job_id)) == [1]

    # once

    def test_lines_that_are_sent_again_are_kept_once(self, door: Door) -> None:
        claim = door.take()
        for _ in range(2):
            door.pulse(claim, lines=lines(1, 3))
        door.pulse(claim, lines=lines(2, 5))
        door.turn([ending(claim, Succeeded(b"1"), lines(5, 6))])
        told = door.logs(claim.lease.job_id)
        assert numbers(told) == [line.place for line in told] == [1, 2, 3, 4, 5, 6]

    # attempts

    def test_each_attempt_has_lines_of_its_own(self, door: Door) -> None:
        job_id = door.add()
        for attempt in (1, 2):
            claim = door.again(job_id)
            door.pulse(claim, lines=lines(1, 2, f"{attempt}: {{}}"))
            door.turn([ending(claim, Failed(BROKEN, delay=0.0), ())])
            door.turn([])
        told = door.logs(job_id)
        assert [(line.place, line.attempt, line.number, line.message) for line in told] == [
            (1, 1, 1, "1: 1"), (2, 1, 2, "1: 2"), (3, 2, 1, "2: 1"), (4, 2, 2, "2: 2"),
        ]  # fmt: skip

    def test_runs_of_one_attempt_do_not_mix(self, door: Door) -> None:
        job_id = door.add()
        for said in ("first", "second"):
            claim = door.again(job_id)
            assert claim.attempt == 1
            door.turn([ending(claim, Released(), lines(1, message=said))])
        assert [(line.attempt, line.number, line.message) for line in door.logs(job_id)] == [
            (1, 1, "first"), (1, 1, "second"),
        ]  # fmt: skip

    def test_what_a_lost_run_had_said_is_there(self, door: Door) -> None:
        stale = door.take()
        door.pulse(stale, lines=lines(1, 2))
        door.clock.advance(LEASE)
        [rescue] = door.reclaim()
        door.end(rescue, Lost())
        door.turn([ending(door.again(stale.lease.job_id), Succeeded(b"1"), lines(1))])
        assert [(line.attempt, line.number) for line in door.logs(stale.lease.job_id)] == [(1, 1), (1, 2), (2, 1)]

    def test_a_job_that_is_tried_again_keeps_its_log(self, door: Door) -> None:
        claim = door.take()
        door.turn([ending(claim, Failed(BROKEN, final=True), lines(1, 2))])
        assert door.move(REDRIVE, claim.lease.job_id)
        door.turn([ending(door.again(claim.lease.job_id), Succeeded(b"1"), lines(1))])
        assert [(line.place, line.attempt) for line in door.logs(claim.lease.job_id)] == [(1, 1), (2, 1), (3, 2)]

    # bounds

    @pytest.mark.parametrize("step", [1, 7, KEPT])
    def test_of_a_run_the_newest_lines_are_kept(self, door: Door, step: int) -> None:
        claim = door.take()
        newest = KEPT + 5 * step
        for first in range(1, newest + 1, step):
            door.pulse(claim, lines=lines(first, min(first + step - 1, newest)))
        told = door.logs(claim.lease.job_id)
        assert numbers(told) == [line.place for line in told] == list(range(newest - KEPT + 1, newest + 1))

    def test_what_the_worker_left_out_shows_in_the_numbers(self, door: Door) -> None:
        claim = door.take()
        door.pulse(claim, lines=lines(1, 10))
        door.turn([ending(claim, Succeeded(b"1"), lines(901, 900 + KEPT))])
        told = door.logs(claim.lease.job_id)
        assert numbers(told) == list(range(901, 901 + KEPT))
        assert [told[0].place, told[-1].place] == [11, 10 + KEPT]

    def test_what_gives_way_is_of_the_same_run(self, door: Door) -> None:
        job_id = door.add()
        door.turn([ending(door.again(job_id), Released(), lines(1, 3))])
        claim = door.again(job_id)
        for first in (1, KEPT + 1):
            door.pulse(claim, lines=lines(first, first + KEPT - 1))
        told = numbers(door.logs(job_id))
        assert told == [1, 2, 3, *range(KEPT + 1, 2 * KEPT + 1)]

    def test_of_a_job_the_newest_runs_are_kept(self, door: Door) -> None:
        job_id = door.add()
        for number in range(RUNS + 3):
            said = lines(1, 2, f"run {number}, {{}}") if number != 10 else ()
            door.turn([ending(door.again(job_id), Released(), said)])
        told = door.logs(job_id)
        assert len(told) == 2 * RUNS
        assert told[0].message == "run 2, 1"  # the tenth had nothing to say
        assert told[-1].message == f"run {RUNS + 2}, 2"

    # reading

    def test_a_log_is_read_on_behind_a_place(self, door: Door) -> None:
        claim = door.take()
        for first in (1, 4, 5):
            door.pulse(claim, lines=lines(first, first + 2))
        job_id = claim.lease.job_id
        for after in range(9):
            assert [line.place for line in door.logs(job_id, after)] == list(range(after + 1, 8))

    def test_the_newest_so_many_lines_are_read(self, door: Door) -> None:
        job_id = door.add()
        for _ in range(2):
            door.turn([ending(door.again(job_id), Released(), lines(1, 4))])
        places = [line.place for line in door.logs(job_id)]
        assert places == list(range(1, 9))
        for limit in range(10):
            assert [line.place for line in door.logs(job_id, limit=limit)] == places[8 - min(limit, 8) :]
            assert [line.place for line in door.logs(job_id, 3, limit)] == places[3:][5 - min(limit, 5) :]

    def test_who_has_said_nothing_has_no_log(self, door: Door) -> None:
        claim = door.take()
        assert door.logs(claim.lease.job_id) == door.logs("nobody") == []
        door.end(claim, Succeeded(b"1"))
        assert door.logs(claim.lease.job_id) == []

    # leaving

    def test_a_log_goes_with_its_job(self, door: Door) -> None:
        for outcome in (Succeeded(b"1"), Failed(BROKEN, final=True)):
            claim = door.take(id="a")
            door.pulse(claim, lines=lines(1, 3))
            door.turn([ending(claim, outcome, lines(4))])
            assert door.delete(ids=("a",)) == 1
            assert door.logs("a") == []
        claim = door.take(id="a")
        assert door.logs("a") == []
        door.pulse(claim, lines=lines(1))
        assert [line.place for line in door.logs("a")] == [1]

    def test_a_log_is_not_adopted_with_its_job(self, door: Door) -> None:
        claim = door.take(id="a")
        door.turn([ending(claim, Succeeded(b"1"), lines(1, 3))])
        door.readopt("a")
        assert door.logs("a") == []

    def test_a_log_outlives_the_process(self, door: Door) -> None:
        claim = door.take()
        door.pulse(claim, lines=lines(1, 3))
        door.run(door.engine.close())
        door.run(door.engine.open())
        assert numbers(door.logs(claim.lease.job_id)) == [1, 2, 3]
