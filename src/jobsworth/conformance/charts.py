"""Promises to whoever draws charts: every ending that was written is counted once, by queue, task and minute."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from jobsworth.engine import QueueStatus, Want
from jobsworth.job import Progress, State
from jobsworth.lifecycle import REDRIVE, settle
from jobsworth.outcome import Failed, Lost, Outcome, Released, Snoozed, Stopped, Succeeded
from jobsworth.statistics import ENDS, Level, Statistics, Tally, bucket

from .door import BROKEN, LEASE, QUEUE, RETRY, TASK, Door, Hall, new_job

DAY = 86_400.0
ENDINGS: list[tuple[Outcome, str]] = [
    (Succeeded(b"1"), "completed"), (Succeeded(None), "completed"), (Failed(BROKEN), "retried"),
    (Failed(BROKEN, final=True), "failed"), (Failed(BROKEN, final=True, charged=False), "failed"),
    (Stopped("enough"), "cancelled"), (Stopped(expired=True), "cancelled"), (Lost(), "crashed"),
    (Snoozed(5.0), "put_back"), (Released(), "put_back"), (Released(5.0), "put_back"),
]  # fmt: skip


def told(door: Door, since: float = 3600.0, step: float = 60.0, **of: Any) -> Statistics:
    """What the engine says of the last so many seconds."""
    return door.run(door.engine.statistics(since, step, **of))


def only(door: Door, since: float = 3600.0, step: float = 60.0, **of: Any) -> Tally:
    """The one tally there is."""
    [tally] = told(door, since, step, **of).tallies
    return tally


def ends(tally: Tally) -> dict[str, int]:
    """How many ended which way, without those that did not."""
    return {name: getattr(tally, name) for name in ENDS if getattr(tally, name)}


def upkeep(door: Door, *seen: QueueStatus) -> None:
    door.run(door.engine.upkeep(seen))


def to_the_minute(door: Door) -> None:
    """Go on to the beginning of a minute."""
    door.clock.advance(60 - door.clock.now % 60)


class Charts(Hall):
    """statistics()."""

    def test_nothing_is_told_before_anything_ended(self, door: Door) -> None:
        door.take()
        assert told(door) == Statistics(now=door.clock.now)

    @pytest.mark.parametrize(("outcome", "word"), ENDINGS, ids=str)
    def test_each_ending_is_counted_once_by_what_it_came_to(self, door: Door, outcome: Outcome, word: str) -> None:
        claim = door.take(max_attempts=2)
        assert door.end(claim, outcome)
        assert ends(only(door)) == {word: 1}

    def test_a_run_that_was_asked_to_stop_is_counted_by_where_its_job_went(self, door: Door) -> None:
        claim = door.take()
        door.cancel(claim.lease.job_id)
        assert door.end(claim, Failed(BROKEN))
        assert ends(only(door)) == {"cancelled": 1}

    def test_what_is_given_up_for_its_crashes_has_failed(self, door: Door) -> None:
        job_id = door.add()
        for _ in range(3):
            assert door.end(door.again(job_id), Lost())
            door.clock.advance(30)
            door.turn([])
        found = [ends(tally) for tally in told(door, step=3600).tallies]
        assert sum(each.get("crashed", 0) for each in found) == 2
        assert sum(each.get("failed", 0) for each in found) == 1

    def test_what_is_cancelled_while_it_waits_had_no_run(self, door: Door) -> None:
        door.cancel(door.add())
        assert told(door).tallies == []

    def test_an_ending_that_is_refused_is_not_counted(self, door: Door) -> None:
        claim = door.take()
        door.clock.advance(LEASE + 1)
        [taken] = door.reclaim()
        assert not door.end(claim, Succeeded(b"1"))
        assert told(door).tallies == []
        assert door.end(taken, Lost())
        assert not door.end(taken, Lost())
        assert ends(only(door)) == {"crashed": 1}

    def test_good_and_stale_endings_of_one_turn_are_told_apart(self, door: Door) -> None:
        stale = door.take()
        door.clock.advance(LEASE + 1)
        door.reclaim()
        door.enqueue(*(new_job() for _ in range(5)))
        claims = door.claim(5)
        turn = door.turn([settle(each, Succeeded(b"1"), RETRY) for each in [stale, *claims, claims[0]]])
        assert sorted(turn.refused) == sorted([stale.lease.job_id, claims[0].lease.job_id])
        assert ends(only(door)) == {"completed": 5}

    def test_every_attempt_counts(self, door: Door) -> None:
        job_id = door.add(max_attempts=2)
        assert door.end(door.again(job_id), Failed(BROKEN, delay=0.0))
        door.turn([])
        assert door.end(door.again(job_id), Failed(BROKEN, delay=0.0))
        assert door.move(REDRIVE, job_id)
        assert door.end(door.again(job_id), Succeeded(b"1"))
        assert ends(only(door)) == {"retried": 1, "failed": 1, "completed": 1}

    def test_a_job_that_is_sent_on_with_an_ending_has_not_run(self, door: Door) -> None:
        claim = door.take()
        ending = settle(claim, Failed(BROKEN, final=True), RETRY)
        forward = new_job(queue="letters", task="post")
        door.turn([replace(ending, forward=forward)])
        assert ends(only(door)) == {"failed": 1}
        assert only(door).queue == QUEUE

    @pytest.mark.parametrize("seconds", [0.0, 0.0005, 0.75, 3.0, 45.0, 86_400.0, 1e6])
    @pytest.mark.parametrize("plain", [True, False])
    def test_run_times_and_waits_are_known_by_bucket(self, door: Door, seconds: float, plain: bool) -> None:
        job_id = door.add()
        door.clock.advance(7.0)
        claim = door.again(job_id, lease=1e7)
        door.clock.advance(seconds)
        assert door.end(claim, Succeeded(b"1", progress=None if plain else Progress(1, 2)))
        tally = only(door)
        assert [place for place, runs in enumerate(tally.run) if runs] == [bucket(seconds)]
        assert [place for place, runs in enumerate(tally.wait) if runs] == [bucket(7.0)]
        assert tally.busy == pytest.approx(seconds, abs=1e-5)

    def test_a_wait_begins_when_the_job_is_due(self, door: Door) -> None:
        job_id = door.add(delay=500)
        door.clock.advance(503)
        assert door.end(door.again(job_id), Failed(BROKEN, delay=100.0))
        door.clock.advance(130)
        assert door.end(door.again(job_id), Succeeded(b"1"))
        waits = [sum(each) for each in zip(*(tally.wait for tally in told(door).tallies), strict=True)]
        assert {place: runs for place, runs in enumerate(waits) if runs} == {bucket(3.0): 1, bucket(30.0): 1}

    def test_only_run_times_of_what_completed_are_counted_but_all_waits(self, door: Door) -> None:
        for outcome in (Failed(BROKEN, final=True), Snoozed(99.0), Stopped(), Succeeded(b"1")):
            claim = door.take()
            door.clock.advance(0.5)
            assert door.end(claim, outcome)
        tally = only(door)
        assert (sum(tally.run), sum(tally.wait)) == (1, 4)
        assert tally.busy == pytest.approx(2.0)

    def test_a_clock_that_is_set_back_makes_no_negative_times(self, door: Door) -> None:
        claim = door.take()
        door.clock.advance(-10)
        assert door.end(claim, Succeeded(b"1"))
        assert only(door).busy == 0.0
        assert only(door).run[0] == 1

    def test_queues_and_tasks_are_told_apart(self, door: Door) -> None:
        for queue, task in (("mail", "send"), ("mail", "ring"), ("fax", "send"), ("fax", "send")):
            door.end(door.take(queue=queue, task=task), Succeeded(b"1"))
        tallies = told(door).tallies
        assert [(each.queue, each.task, each.completed) for each in tallies] == [
            ("fax", "send", 2), ("mail", "ring", 1), ("mail", "send", 1),
        ]  # fmt: skip
        assert told(door, queue="fax").tallies == tallies[:1]
        assert told(door, task="send").tallies == [tallies[0], tallies[2]]
        assert told(door, queue="mail", task="ring").tallies == [tallies[1]]
        assert told(door, queue="nobody").tallies == []

    def test_many_of_one_turn_are_counted_with_it(self, door: Door) -> None:
        door.enqueue(*(new_job(task=task, priority=number) for number in range(20) for task in ("send", "ring")))
        claims = door.turn([], Want(QUEUE, 40, ("send", "ring"))).claims
        door.clock.advance(0.25)
        outcomes = [Failed(BROKEN, final=True) if number % 4 == 0 else Succeeded(b"1") for number in range(40)]
        door.turn([settle(*each, RETRY) for each in zip(claims, outcomes, strict=True)])
        found = told(door).tallies
        assert sum(each.completed for each in found) == sum(sum(each.run) for each in found) == 30
        assert {each.task: each.completed for each in found} == {"send": 10, "ring": 20}
        assert sum(each.failed for each in found) == 10
        assert sum(sum(each.wait) for each in found) == 40

    def test_spans_are_minutes_of_the_clock(self, door: Door) -> None:
        to_the_minute(door)
        first = door.clock.now
        door.clock.advance(59)
        door.end(door.take(), Succeeded(b"1"))
        door.clock.advance(1)
        door.end(door.take(), Succeeded(b"1"))
        door.end(door.take(), Succeeded(b"1"))
        assert [(each.at, each.seconds, each.completed) for each in told(door).tallies] == [
            (first, 60.0, 1), (first + 60, 60.0, 2),
        ]  # fmt: skip

    def test_spans_of_a_step_add_up(self, door: Door) -> None:
        door.clock.advance(600 - door.clock.now % 600)
        start = door.clock.now
        for _ in range(12):
            door.end(door.take(), Succeeded(b"1"))
            door.clock.advance(60)
        upkeep(door)
        spans = told(door, 720, 300).tallies
        assert [(each.at - start, each.seconds, each.completed) for each in spans] == [
            (0.0, 300.0, 5), (300.0, 300.0, 5), (600.0, 300.0, 2),
        ]  # fmt: skip

    def test_the_first_span_is_a_whole_one(self, door: Door) -> None:
        to_the_minute(door)
        for _ in range(4):
            door.end(door.take(), Succeeded(b"1"))
            door.clock.advance(60)
        door.clock.advance(30)
        assert len(told(door, 0).tallies) == 0
        assert len(told(door, 31).tallies) == 1
        assert len(told(door, 90).tallies) == 1
        assert len(told(door, 91).tallies) == 2
        assert len(told(door, 1e12).tallies) == 4

    def test_upkeep_changes_nothing_of_what_is_told(self, door: Door) -> None:
        to_the_minute(door)
        for number, (outcome, _) in enumerate(ENDINGS):
            door.end(door.take(task=f"t{number}"), outcome)
            door.clock.advance(25)
        before = told(door)
        upkeep(door)
        upkeep(door)
        assert told(door) == before
        door.clock.advance(-120)  # a clock that is set back, and a minute that goes on after it was over
        claim = door.take(task="late")
        door.end(claim, Succeeded(b"1"))
        door.clock.advance(120)
        upkeep(door)
        assert sum(each.completed for each in told(door).tallies) == sum(each.completed for each in before.tallies) + 1

    def test_after_two_days_minutes_become_hours(self, door: Door) -> None:
        door.clock.advance(3600 - door.clock.now % 3600)
        start = door.clock.now
        for _ in range(90):
            door.end(door.take(), Succeeded(b"1"))
            door.clock.advance(60)
        door.clock.advance(2 * DAY - 30 * 60 + 30)
        upkeep(door)
        tallies = told(door, 3 * DAY).tallies
        assert [(each.at - start, each.seconds, each.completed) for each in tallies[:2]] == [
            (0.0, 3600.0, 60), (3600.0, 60.0, 1),
        ]  # fmt: skip
        assert sum(tallies[0].run) == sum(tallies[0].wait) == 60
        assert len(tallies) == 31
        day = told(door, 3 * DAY, DAY).tallies
        assert sum(each.completed for each in day) == 90
        door.clock.advance(3600)
        upkeep(door)
        upkeep(door)
        assert [each.completed for each in told(door, 4 * DAY).tallies] == [60, 30]

    def test_hours_are_kept_for_thirty_days(self, door: Door) -> None:
        door.end(door.take(), Succeeded(b"1"))
        door.clock.advance(29.9 * DAY)
        upkeep(door)
        assert len(told(door, 60 * DAY).tallies) == 1
        door.clock.advance(0.2 * DAY)
        upkeep(door)
        assert told(door, 60 * DAY).tallies == []

    def test_how_full_a_queue_stands_is_noted_once_a_minute(self, door: Door) -> None:
        to_the_minute(door)
        start = door.clock.now
        upkeep(door, QueueStatus(queue=QUEUE, counts={State.QUEUED: 4, State.RUNNING: 9}, in_rate=6, oldest=2.5))
        upkeep(door, QueueStatus(queue=QUEUE, counts={State.QUEUED: 40}, in_rate=60), QueueStatus(queue="fax"))
        door.clock.advance(60)
        upkeep(door, QueueStatus(queue=QUEUE, in_rate=3))
        upkeep(door)
        first = Level(queue=QUEUE, at=start, seconds=60.0, in_rate=6.0, waiting=4.0, most_waiting=4, oldest=2.5)
        levels = told(door).levels
        assert levels == [
            Level(queue="fax", at=start, seconds=60.0),
            first,
            Level(queue=QUEUE, at=start + 60, seconds=60.0, in_rate=3.0),
        ]
        assert told(door).tallies == []
        assert told(door, queue="fax").levels == levels[:1]
        assert told(door, task=TASK).levels == []

    def test_looks_at_a_queue_become_a_mean_and_the_most(self, door: Door) -> None:
        door.clock.advance(3600 - door.clock.now % 3600)
        for waiting in (4, 10, 1):
            upkeep(door, QueueStatus(queue=QUEUE, counts={State.QUEUED: waiting}, in_rate=waiting, oldest=waiting))
            door.clock.advance(60)
        door.clock.advance(3 * DAY)
        upkeep(door)
        [level] = told(door, 4 * DAY).levels
        assert (level.seconds, level.in_rate, level.waiting, level.most_waiting, level.oldest) == (3600, 5, 5, 10, 10)

    def test_statistics_outlive_their_jobs_and_the_process(self, door: Door) -> None:
        door.end(door.take(), Succeeded(b"1"))
        assert door.delete(states=(State.COMPLETED,)) == 1
        door.run(door.engine.close())
        door.run(door.engine.open())
        assert only(door).completed == 1
        assert (only(door).queue, only(door).task) == (QUEUE, TASK)
