"""Promises to the onlooker: find, count, queues, workers, bells and the doctor show what is, and change nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from jobsworth.engine import Place, QueueStatus, WorkerCard
from jobsworth.job import LIVE, Failure, Progress, State
from jobsworth.lifecycle import RUN_NOW
from jobsworth.outcome import Failed, Lost, Succeeded

from .door import BROKEN, LEASE, TASK, Door, Hall, new_job

CARD = WorkerCard(
    id="w1", host="näs", pid=7, version="1.2", queues={"mail": 4, "fax": 1}, tasks=("send", "fax"), running=2, rss=10**9
)


class Looks(Hall):
    """find(), count(), queues(), workers(), listen(), doctor()."""

    # find

    def test_what_is_not_there_is_not_found(self, door: Door) -> None:
        assert door.find() == door.find(ids=("nobody",)) == []
        assert door.count() == door.count(ids=("nobody",)) == 0

    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ({}, "abcd"),
            ({"ids": ("b", "d", "nobody", "b")}, "bd"),
            ({"ids": ()}, ""),
            ({"queue": "fax"}, "b"),
            ({"task": "ring"}, "c"),
            ({"states": (State.FAILED, State.SCHEDULED)}, "ad"),
            ({"states": ()}, ""),
            ({"key": "k1"}, "a"),
            ({"tag": "red"}, "ac"),
            ({"tag": "re"}, ""),
            ({"owner": "user:1"}, "ab"),
            ({"reason": "gave_up"}, "a"),
            ({"reason": "error"}, ""),
            ({"owner": "user:1", "queue": "mail"}, "a"),
            ({"owner": "user:1", "queue": "mail", "states": (State.QUEUED,)}, ""),
            ({"text": "no such"}, "a"),
            ({"text": "end"}, "abd"),
        ],
        ids=str,
    )
    def test_every_field_given_must_match(self, door: Door, where: dict[str, Any], expected: str) -> None:
        claim = door.take(id="a", key="k1", tags=("red", "blue"), owner="user:1")
        door.end(claim, Failed(Failure("ValueError", "no such address", "gave_up"), final=True))
        door.add(id="b", queue="fax", owner="user:1")
        door.add(id="c", task="ring", tags=("red",), owner="user:2", key="k2")
        door.add(id="d", delay=9)
        assert door.found(**where, newest_first=False) == list(expected)
        assert door.count(**where) == len(expected)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("user", "ab"), ("er-1", ""), ("USER-1", ""), ("50%", "c"), ("0% o", "c"), ("%", "c"), ("_", "d"),
            ("ü", "c"),
            ("INVOICE", "c"), ("under_", "d"), ("underx", ""), ("'", "d"), ("nobody", ""), ("", "abcd"),
        ],
    )  # fmt: skip
    def test_text_finds_beginnings_of_ids_and_parts_of_words(self, door: Door, text: str, expected: str) -> None:
        door.enqueue(
            new_job(id="user-1"),
            new_job(id="user-2"),
            new_job(id="c", label="Invoice über 50% off"),
            new_job(id="d", task="under_score's"),
        )
        names = {"a": "user-1", "b": "user-2", "c": "c", "d": "d"}
        assert door.found(text=text, newest_first=False) == [names[letter] for letter in expected]

    def test_text_finds_parts_of_failures(self, door: Door) -> None:
        claim = door.take()
        door.end(claim, Failed(Failure("OSError", "Disk on fire: 12%"), final=True))
        assert door.found(text="disk ON fire") == door.found(text="12%") == [claim.lease.job_id]
        assert door.found(text="OSError") == []

    def test_the_newest_come_first_unless_asked_otherwise(self, door: Door) -> None:
        door.add(id="a")
        door.clock.advance(-100)
        door.enqueue(new_job(id="c", priority=9), new_job(id="b"))
        assert door.found() == ["b", "c", "a"]
        assert door.found(newest_first=False) == ["a", "c", "b"]

    def test_a_hundred_are_shown_unless_asked_otherwise(self, door: Door) -> None:
        door.enqueue(*(new_job(id=f"n{number}") for number in range(120)))
        assert door.found() == [f"n{number}" for number in range(119, 19, -1)]
        assert len(door.found(limit=None)) == 120
        assert door.found(limit=2) == ["n119", "n118"]
        assert door.found(limit=2, newest_first=False) == ["n0", "n1"]
        assert door.found(limit=0) == []

    def test_beyond_skips_the_newest_whichever_end_comes_first(self, door: Door) -> None:
        door.enqueue(*(new_job(id=name) for name in "abcde"))
        assert door.found(beyond=2) == ["c", "b", "a"]
        assert door.found(beyond=2, newest_first=False) == ["a", "b", "c"]
        assert door.found(beyond=1, limit=2) == ["d", "c"]
        assert door.found(beyond=1, limit=2, newest_first=False) == ["a", "b"]
        assert door.found(beyond=9) == []

    def test_beyond_skips_among_what_matches(self, door: Door) -> None:
        door.enqueue(new_job(id="a"), new_job(id="b"), new_job(id="c", queue="other"), new_job(id="d"))
        assert door.found(queue="mail", beyond=1) == ["b", "a"]

    def test_a_count_knows_no_limit(self, door: Door) -> None:
        door.enqueue(*(new_job() for _ in range(120)))
        assert door.count() == door.count(limit=5) == door.count(beyond=100) == 120

    def test_ages_are_windows_that_include_their_edge(self, door: Door) -> None:
        for name in "abc":
            door.end(door.take(id=name), Succeeded(None))
            door.clock.advance(10)
        door.add(id="waits")
        assert sorted(door.found(finished_for=20)) == ["a", "b"]
        assert sorted(door.found(finished_within=20)) == ["b", "c"]
        assert sorted(door.found(finished_for=0)) == ["a", "b", "c"]
        assert sorted(door.found(finished_within=20, finished_for=20)) == ["b"]
        assert sorted(door.found(created_within=20)) == ["b", "c", "waits"]
        assert sorted(door.found(created_within=0)) == ["waits"]
        assert door.count(finished_for=20) == 2

    def test_looking_changes_nothing(self, door: Door) -> None:
        door.bring_all()
        door.clock.advance(1_000)
        before = door.find()
        for _ in range(2):
            door.queue()
            door.workers()
            door.count()
            door.run(door.engine.doctor())
            assert door.find() == before

    # queues

    def test_a_queue_is_counted_by_state(self, door: Door) -> None:
        door.bring_all()
        door.add()
        expected = dict.fromkeys(State, 1) | {State.QUEUED: 2}
        assert door.queue().counts == expected

    def test_a_brief_look_leaves_out_what_has_ended(self, door: Door) -> None:
        door.bring_all()
        door.clock.advance(5)
        whole = door.queue()
        [brief] = door.run(door.engine.queues(["mail"], brief=True))
        assert brief.counts == dict.fromkeys(LIVE, 1)
        assert (brief.in_rate, brief.out_rate) == (0, 0)
        assert (brief.oldest, brief.slots, brief.workers) == (whole.oldest, whole.slots, whole.workers)

    def test_queues_with_jobs_settings_or_workers_are_listed(self, door: Door) -> None:
        assert door.run(door.engine.queues()) == []
        for state in State:
            door.bring(state, queue=f"q-{state}")
        door.pause("set")
        door.pulse(card=WorkerCard(id="w", queues={"served": 1}))
        listed = [status.queue for status in door.run(door.engine.queues())]
        assert sorted(listed) == sorted([*(f"q-{state}" for state in State), "set", "served"])

    def test_only_the_queues_named_are_told_known_or_not(self, door: Door) -> None:
        door.add()
        door.add(queue="other")
        names = [status.queue for status in door.run(door.engine.queues(["other", "unknown"]))]
        assert sorted(names) == ["other", "unknown"]
        assert door.queue("unknown") == QueueStatus(queue="unknown")

    def test_a_queue_tells_how_long_its_longest_waiting_job_has_been_ready(self, door: Door) -> None:
        assert door.queue().oldest is None
        door.add(delay=100)
        assert door.queue().oldest is None
        door.add(priority=-5)
        door.clock.advance(7)
        door.add()
        assert door.queue().oldest == 7
        door.clock.advance(100)
        door.turn([])
        assert door.queue().oldest == 107
        door.delete(states=(State.QUEUED,))
        door.clock.advance(-50)
        door.add(run_at=door.clock.now)
        door.clock.advance(-50)
        assert door.queue().oldest == 0

    def test_a_job_that_comes_back_is_ready_from_then_on(self, door: Door) -> None:
        job_id = door.add(delay=1_000)
        door.clock.advance(50)
        door.move(RUN_NOW, job_id)
        door.clock.advance(3)
        assert door.queue().oldest == 3

    def test_a_queue_tells_its_slots_and_workers(self, door: Door) -> None:
        door.pulse(card=CARD)
        door.pulse(card=WorkerCard(id="w2", queues={"mail": 2}))
        assert (door.queue().workers, door.queue().slots) == (2, 6)
        assert (door.queue("fax").workers, door.queue("fax").slots) == (1, 1)
        door.clock.advance(3 * LEASE)
        assert (door.queue().workers, door.queue().slots) == (0, 0)

    def test_a_queue_tells_what_came_and_went_in_the_last_minute(self, door: Door) -> None:
        door.bring_all()
        assert (door.queue().in_rate, door.queue().out_rate) == (7, 3)
        door.clock.advance(61)
        assert (door.queue().in_rate, door.queue().out_rate) == (0, 0)

    def test_a_queue_tells_which_tasks_no_worker_of_its_knows(self, door: Door) -> None:
        door.enqueue(new_job(), new_job(task="strange"), new_job(task="strange"), new_job(task="odd", delay=5))
        assert door.queue().unroutable == {}
        door.pulse(card=WorkerCard(id="elsewhere", queues={"other": 1}, tasks=("strange",)))
        assert door.queue().unroutable == {}
        door.pulse(card=CARD)
        assert door.queue().unroutable == {"strange": 2}
        door.pulse(card=WorkerCard(id="w2", queues={"mail": 1}, tasks=("strange",)))
        assert door.queue().unroutable == {}

    # place

    def test_a_job_that_is_not_there_has_no_place(self, door: Door) -> None:
        door.add()
        assert door.place("nobody") is None

    def test_only_a_queued_job_has_others_before_it(self, door: Door) -> None:
        jobs = door.bring_all()
        assert {state: door.place(job_id) for state, job_id in jobs.items()} == {
            state: Place(0 if state is State.QUEUED else None, door.clock.now) for state in State
        }

    def test_those_before_a_job_are_those_that_are_given_out_before_it(self, door: Door) -> None:
        places = {"old": 2, "low": 6, "high": 0, "other": 3, "highest-later": 1, "young": 4, "youngest": 5}
        door.enqueue(
            new_job(id="old"), new_job(id="low", priority=-1), new_job(id="high", priority=7),
            new_job(id="other", task="ring"), new_job(id="elsewhere", queue="fax", priority=9),
            new_job(id="highest-later", priority=7), new_job(id="later", delay=60, priority=9), new_job(id="young"),
            new_job(id="youngest", task="ring"),
        )  # fmt: skip
        assert {job_id: door.ahead(job_id) for job_id in places} == places
        claims = door.claim(len(places), tasks=(TASK, "ring"))
        assert [claim.lease.job_id for claim in claims] == sorted(places, key=places.__getitem__)

    def test_jobs_that_took_a_process_down_are_counted_among_themselves(self, door: Door) -> None:
        crashed = [door.take(id=name, task=task) for name, task in (("x", TASK), ("y", "ring"))]
        door.add(id="a")
        for claim in crashed:
            door.end(claim, Lost("killed"))
        door.add(id="b", priority=5)
        assert {each: door.ahead(each) for each in ("x", "y", "a", "b")} == {"x": 0, "y": 1, "a": 1, "b": 0}

    def test_the_place_is_told_with_the_engines_moment(self, door: Door) -> None:
        job_id = door.add()
        created = door.job(job_id).created_at
        door.clock.advance(90)
        place = door.place(job_id)
        assert place is not None
        assert place.now - created == pytest.approx(90)

    # workers

    def test_a_worker_is_known_by_its_card(self, door: Door) -> None:
        door.pulse(card=CARD)
        [card] = door.workers()
        assert card == WorkerCard(
            id="w1", host="näs", pid=7, version="1.2", queues={"mail": 4, "fax": 1}, tasks=("send", "fax"), running=2,
            rss=10**9, started_at=door.clock.now, beat=0.0,
        )  # fmt: skip

    def test_a_card_is_renewed_by_each_pulse_but_keeps_its_start(self, door: Door) -> None:
        start = door.clock.now
        door.pulse(card=CARD)
        door.clock.advance(20)
        door.pulse(card=WorkerCard(id="w1", running=5, stopping=True, started_at=1.0))
        door.clock.advance(4)
        [card] = door.workers()
        assert (card.running, card.stopping, card.started_at, card.beat) == (5, True, start, 4)

    def test_a_card_runs_out_three_leases_after_the_last_pulse(self, door: Door) -> None:
        door.pulse(card=CARD)
        door.clock.advance(3 * LEASE - 1)
        door.run(door.engine.upkeep())
        assert len(door.workers()) == 1
        door.clock.advance(1)
        assert door.workers() == []
        door.run(door.engine.upkeep())
        door.pulse(card=CARD)
        assert [card.started_at for card in door.workers()] == [door.clock.now]

    def test_a_worker_that_signs_off_is_gone_at_once(self, door: Door) -> None:
        door.pulse(card=CARD)
        door.pulse(card=WorkerCard(id="w2"))
        door.run(door.engine.sign_off("w1"))
        assert [card.id for card in door.workers()] == ["w2"]
        door.run(door.engine.sign_off("nobody"))

    def test_signing_off_leaves_jobs_alone(self, door: Door) -> None:
        claim = door.take()
        door.pulse(claim, progress=Progress(1, 2))
        before = door.find()
        door.run(door.engine.sign_off("w1"))
        assert door.find() == before
        assert door.end(claim, Succeeded(None))

    # bells

    def test_the_bell_rings_when_something_changed(self, door: Door) -> None:
        rung = threading.Event()
        stop = door.engine.listen(rung.set)

        def end_one() -> None:
            [claim] = door.claim()
            rung.clear()
            assert door.end(claim, Failed(BROKEN))

        changes: list[Callable[[], object]] = [
            lambda: door.add(id="a"), end_one, lambda: door.cancel("a"), lambda: door.pause(),
        ]  # fmt: skip
        for change in changes:
            rung.clear()
            change()
            assert rung.wait(10)
        stop()

    def test_every_listener_is_rung_until_it_stops(self, door: Door) -> None:
        first, second = threading.Event(), threading.Event()
        stop_first, stop_second = door.engine.listen(first.set), door.engine.listen(second.set)
        door.add()
        assert first.wait(10)
        assert second.wait(10)
        stop_first()
        first.clear()
        second.clear()
        door.add()
        assert second.wait(10)
        assert not first.is_set()
        stop_second()
        stop_second()

    # the house itself

    def test_opening_and_closing_may_be_repeated(self, door: Door) -> None:
        door.run(door.engine.open())
        door.add(id="a")
        door.run(door.engine.open())
        door.run(door.engine.close())
        door.run(door.engine.close())
        door.run(door.engine.open())
        assert door.found() == ["a"]

    def test_upkeep_loses_nothing(self, door: Door) -> None:
        door.bring_all()
        before = door.find()
        door.run(door.engine.upkeep())
        assert door.find() == before

    def test_the_doctor_speaks_of_durability_in_levels_we_know(self, door: Door) -> None:
        findings = door.run(door.engine.doctor())
        assert {level for level, _, _ in findings} <= {"ok", "warn", "error"}
        assert any(subject == "durability" for _, subject, _ in findings)
