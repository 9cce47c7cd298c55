"""Promises of enqueue: ids, keys, delays, room, and that what goes in comes out."""

from __future__ import annotations

from typing import Any

import pytest

from jobsworth.errors import QueueFull
from jobsworth.job import FINAL, LIVE, Failure, Receipt, State
from jobsworth.lifecycle import REDRIVE
from jobsworth.outcome import Succeeded

from .door import Door, Hall, new_job

EVERY_BYTE = bytes(range(256))
SCRIPTS = "Grüße, 你好, مرحبا, 🦀 \u202e'quoted\" %_\\ {x}"


class Wishes(Hall):
    """enqueue()."""

    def test_a_new_job_waits_in_line_with_everything_it_was_given(self, door: Door) -> None:
        options: dict[str, Any] = {
            "id": "a", "queue": "q", "task": "t", "args": b'{"n":1}', "max_attempts": 7, "priority": -3, "key": "k",
            "owner": "user:7", "label": "a label", "tags": ("x", "y"), "meta": b'{"m":1}', "timeout": 2.5,
        }  # fmt: skip
        door.enqueue(new_job(**options))
        job = door.job("a")
        assert {name: getattr(job, name) for name in options} == options
        assert (job.state, job.attempt, job.errors, job.crashes) == (State.QUEUED, 0, 0, 0)
        assert job.created_at == job.updated_at == job.run_at == door.clock.now
        assert (job.started_at, job.finished_at, job.expires_at, job.worker) == (None, None, None, None)
        assert (job.progress, job.result, job.failure, job.cancel_reason) == (None, None, None, None)
        assert not job.cancel_requested
        assert job.attempts == ()

    def test_the_claim_carries_what_was_given(self, door: Door) -> None:
        options: dict[str, Any] = {
            "args": b'{"n":1}', "max_attempts": 7, "priority": 5, "key": "k", "owner": "user:7",
            "label": "a label", "tags": ("x", "y"), "meta": b'{"m":1}', "timeout": 2.5,
        }  # fmt: skip
        claim = door.take(**options)
        assert {name: getattr(claim, name) for name in options} == options

    @pytest.mark.parametrize("data", [b"", EVERY_BYTE, b"x" * 3_000, EVERY_BYTE * 1_000], ids=len)
    def test_bytes_come_back_exactly(self, door: Door, data: bytes) -> None:
        claim = door.take(args=data, meta=EVERY_BYTE)
        assert (claim.args, claim.meta) == (data, EVERY_BYTE)
        door.end(claim, Succeeded(data))
        job = door.job(claim.lease.job_id)
        assert (job.args, job.meta, job.result) == (data, EVERY_BYTE, data)

    def test_text_of_any_script_comes_back_exactly(self, door: Door) -> None:
        job_id = door.add(key=SCRIPTS, owner=SCRIPTS, label=SCRIPTS, tags=(SCRIPTS, "y"))
        job = door.job(job_id)
        assert (job.key, job.owner, job.label, job.tags) == (SCRIPTS, SCRIPTS, SCRIPTS, (SCRIPTS, "y"))
        assert door.found(owner=SCRIPTS) == door.found(tag=SCRIPTS) == door.found(key=SCRIPTS) == [job_id]

    def test_nothing_offered_creates_nothing(self, door: Door) -> None:
        assert door.offer() == []
        assert door.offer([]) == [[]]
        assert door.count() == 0

    def test_receipts_come_in_the_order_of_the_wishes(self, door: Door) -> None:
        door.add(id="old")
        answer = door.offer([new_job(id="b"), new_job(id="old"), new_job(id="a")], [new_job(id="c")])
        assert answer == [[Receipt("b"), Receipt("old", created=False), Receipt("a")], [Receipt("c")]]

    def test_a_thousand_at_once_keep_their_order(self, door: Door) -> None:
        ids = [f"n{number}" for number in range(1_000)]
        assert door.enqueue(*(new_job(id=each) for each in ids)) == [Receipt(each) for each in ids]
        assert door.found(newest_first=False, limit=None) == ids
        assert [claim.lease.job_id for claim in door.claim(1_000)] == ids

    # when

    def test_a_delayed_job_is_scheduled(self, door: Door) -> None:
        job = door.job(door.add(delay=30))
        assert (job.state, job.run_at) == (State.SCHEDULED, door.clock.now + 30)

    def test_a_job_for_a_moment_to_come_is_scheduled(self, door: Door) -> None:
        job = door.job(door.add(run_at=door.clock.now + 90))
        assert (job.state, job.run_at) == (State.SCHEDULED, door.clock.now + 90)

    def test_a_job_for_a_moment_that_has_passed_is_queued_as_of_now(self, door: Door) -> None:
        job = door.job(door.add(run_at=door.clock.now - 90))
        assert (job.state, job.run_at) == (State.QUEUED, door.clock.now)

    def test_an_expiry_in_seconds_becomes_a_moment(self, door: Door) -> None:
        assert door.job(door.add(expires=60)).expires_at == door.clock.now + 60

    def test_an_expiry_at_a_moment_is_kept(self, door: Door) -> None:
        assert door.job(door.add(expires_at=door.clock.now + 5)).expires_at == door.clock.now + 5

    # ids

    def test_a_known_id_creates_nothing(self, door: Door) -> None:
        door.add(id="a", args=b"first")
        before = door.job("a")
        assert door.enqueue(new_job(id="a", args=b"second", queue="other")) == [Receipt("a", created=False)]
        assert door.find() == [before]

    @pytest.mark.parametrize("state", State)
    def test_an_id_stays_known_whatever_became_of_its_job(self, door: Door, state: State) -> None:
        job_id = door.bring(state)
        before = door.job(job_id)
        assert door.enqueue(new_job(id=job_id)) == [Receipt(job_id, created=False)]
        assert door.find() == [before]

    def test_the_same_id_twice_in_one_batch_is_one_job(self, door: Door) -> None:
        assert door.enqueue(new_job(id="a", args=b"1"), new_job(id="a", args=b"2")) == [
            Receipt("a"),
            Receipt("a", created=False),
        ]
        assert [job.args for job in door.find()] == [b"1"]

    # keys

    @pytest.mark.parametrize("state", sorted(LIVE))
    def test_a_key_that_a_live_job_holds_names_that_job(self, door: Door, state: State) -> None:
        holder = door.bring(state, key="k")
        assert door.enqueue(new_job(key="k")) == [Receipt(holder, created=False)]
        assert door.count() == 1

    @pytest.mark.parametrize("state", sorted(FINAL))
    def test_a_key_is_free_once_its_job_has_ended(self, door: Door, state: State) -> None:
        door.bring(state, key="k")
        assert door.enqueue(new_job(id="next", key="k")) == [Receipt("next")]

    def test_a_key_is_one_across_queues_but_not_across_tasks(self, door: Door) -> None:
        door.add(id="a", key="k")
        assert door.enqueue(new_job(queue="other", key="k")) == [Receipt("a", created=False)]
        assert door.enqueue(new_job(id="b", task="other", key="k")) == [Receipt("b")]

    def test_the_same_key_twice_in_one_batch_is_one_job(self, door: Door) -> None:
        answer = door.enqueue(new_job(id="a", key="k"), new_job(id="b", key="l"), new_job(id="c", key="k"))
        assert answer == [Receipt("a"), Receipt("b"), Receipt("a", created=False)]

    def test_the_same_key_in_two_batches_of_one_call_is_one_job(self, door: Door) -> None:
        answer = door.offer([new_job(id="a", key="k")], [new_job(id="b", key="k")])
        assert answer == [[Receipt("a")], [Receipt("a", created=False)]]

    def test_jobs_without_a_key_never_meet(self, door: Door) -> None:
        assert all(receipt.created for receipt in door.enqueue(new_job(), new_job(), new_job()))

    def test_a_known_id_goes_before_a_held_key(self, door: Door) -> None:
        door.enqueue(new_job(id="a", key="k"), new_job(id="b"))
        assert door.enqueue(new_job(id="b", key="k")) == [Receipt("b", created=False)]

    # room

    def test_a_batch_that_finds_no_room_is_refused_whole(self, door: Door) -> None:
        door.add()
        [answer] = door.offer([new_job(max_size=2), new_job(max_size=2), new_job(queue="other")])
        assert isinstance(answer, QueueFull)
        assert "mail" in answer.message
        assert "2" in answer.message
        assert door.count() == 1

    def test_the_last_place_can_be_taken(self, door: Door) -> None:
        door.add()
        assert len(door.enqueue(new_job(max_size=2))) == 1
        [answer] = door.offer([new_job(max_size=2)])
        assert isinstance(answer, QueueFull)

    def test_a_full_queue_refuses_its_own_batch_only(self, door: Door) -> None:
        door.add()
        first, second, third = door.offer([new_job(id="a")], [new_job(max_size=1)], [new_job(id="b", queue="other")])
        assert (first, third) == ([Receipt("a")], [Receipt("b")])
        assert isinstance(second, QueueFull)

    def test_a_wish_that_creates_nothing_asks_for_no_room(self, door: Door) -> None:
        door.add()
        wishes = [new_job(id="a"), new_job(id="a", max_size=1)]
        assert door.enqueue(*wishes) == [Receipt("a"), Receipt("a", created=False)]

    def test_scheduled_jobs_take_room_and_running_or_ended_ones_do_not(self, door: Door) -> None:
        for state in (State.COMPLETED, State.FAILED, State.CANCELLED, State.RUNNING, State.CANCELLING):
            door.bring(state)
        assert len(door.enqueue(new_job(max_size=1, delay=9))) == 1
        [answer] = door.offer([new_job(max_size=1)])
        assert isinstance(answer, QueueFull)

    def test_a_wish_that_creates_nothing_needs_no_room(self, door: Door) -> None:
        door.enqueue(new_job(id="a", key="k"), new_job())
        assert door.enqueue(new_job(id="a", max_size=1), new_job(key="k", max_size=1)) == [
            Receipt("a", created=False),
            Receipt("a", created=False),
        ]

    def test_there_is_room_again_once_a_job_is_claimed(self, door: Door) -> None:
        door.take()
        assert len(door.enqueue(new_job(max_size=1))) == 1

    # dead letters pushed by hand

    def test_a_pushed_dead_letter_is_born_failed(self, door: Door) -> None:
        why = Failure("Pushed", "by hand", "pushed", "a traceback")
        job = door.job(door.add(args=b"data", failure=why))
        assert (job.state, job.failure, job.args) == (State.FAILED, why, b"data")
        assert (job.finished_at, job.attempt, job.attempts) == (door.clock.now, 0, ())
        assert door.claim() == []

    def test_a_pushed_dead_letter_neither_holds_a_key_nor_takes_room(self, door: Door) -> None:
        why = Failure("Pushed", "by hand", "pushed")
        door.add(key="k")
        assert door.enqueue(new_job(id="dead", key="k", failure=why, max_size=1)) == [Receipt("dead")]
        door.delete(states=(State.QUEUED,))
        assert door.enqueue(new_job(id="next", key="k", max_size=1)) == [Receipt("next")]

    def test_a_pushed_dead_letter_can_be_redriven(self, door: Door) -> None:
        job_id = door.add(failure=Failure("Pushed", "by hand", "pushed"))
        assert door.move(REDRIVE, job_id) == [job_id]
        assert door.again(job_id).attempt == 1
