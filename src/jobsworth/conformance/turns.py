"""Promises of turn's second half: who is given which job, in which order, and when."""

from __future__ import annotations

import threading

import pytest

from jobsworth.engine import Turn, Want
from jobsworth.job import Claim, Progress, State
from jobsworth.lifecycle import settle
from jobsworth.outcome import Failed, Lost, Released, Succeeded

from .door import BROKEN, LEASE, RETRY, Door, Hall, finish, new_job


def ids(claims: list[Claim]) -> list[str]:
    """Which jobs were given."""
    return [claim.lease.job_id for claim in claims]


class Turns(Hall):
    """turn(), claiming."""

    def test_a_turn_with_nothing_to_do_says_so(self, door: Door) -> None:
        assert door.turn([]) == Turn([], [], None)
        assert door.turn([], Want("mail", 4, ("send",))) == Turn([], [], None)

    def test_a_claimed_job_runs(self, door: Door) -> None:
        job_id = door.add()
        before = door.job(job_id)
        door.clock.advance(5)
        [claim] = door.claim(worker="w7")
        job = door.job(job_id)
        assert (job.state, job.attempt, job.worker) == (State.RUNNING, 1, "w7")
        assert job.started_at == job.updated_at == door.clock.now
        assert job.version > before.version
        assert (claim.attempt, claim.errors, claim.crashes) == (1, 0, 0)
        assert (claim.queue, claim.task, claim.expired, claim.cancelling, claim.worker) == (
            "mail", "send", False, False, None,
        )  # fmt: skip

    def test_a_job_is_given_once(self, door: Door) -> None:
        door.add()
        assert len(door.claim(5)) == 1
        assert door.claim(5, worker="w2") == []

    def test_no_more_than_the_limit_is_given(self, door: Door) -> None:
        door.enqueue(*(new_job(id=name) for name in "abcde"))
        assert ids(door.claim(2)) == ["a", "b"]
        assert ids(door.claim(0)) == []
        assert ids(door.claim(9)) == ["c", "d", "e"]

    def test_higher_priorities_go_first_and_equals_in_order_of_creation(self, door: Door) -> None:
        wishes = {"a": 0, "b": 5, "c": -1, "d": 5, "e": 0}
        door.enqueue(*(new_job(id=name, priority=priority) for name, priority in wishes.items()))
        assert ids(door.claim(2)) == ["b", "d"]
        assert ids(door.claim(9)) == ["a", "e", "c"]

    def test_order_is_by_creation_even_when_the_clock_jumped_back(self, door: Door) -> None:
        door.add(id="z")
        door.clock.advance(-3600)
        door.add(id="a")
        assert ids(door.claim(2)) == ["z", "a"]

    def test_only_jobs_of_the_queue_wanted_are_given(self, door: Door) -> None:
        door.enqueue(new_job(id="a", queue="other"), new_job(id="b"))
        assert ids(door.claim(9)) == ["b"]

    def test_several_queues_are_served_in_one_turn(self, door: Door) -> None:
        door.enqueue(new_job(id="a", queue="p"), new_job(id="b", queue="q"), new_job(id="c", queue="q"))
        turn = door.turn([], Want("q", 1, ("send",)), Want("p", 3, ("send",)))
        assert sorted(ids(turn.claims)) == ["a", "b"]

    def test_a_task_the_worker_does_not_know_stays_queued_and_holds_nobody_up(self, door: Door) -> None:
        door.enqueue(new_job(id="a", task="strange", priority=9), new_job(id="b"), new_job(id="c", task="fax"))
        assert ids(door.claim(2, tasks=("send", "fax"))) == ["b", "c"]
        assert door.claim(2, tasks=()) == []
        assert door.job("a").state is State.QUEUED
        assert ids(door.claim(2, tasks=("strange",))) == ["a"]

    def test_a_thousand_are_claimed_and_settled_in_one_turn_each(self, door: Door) -> None:
        door.enqueue(*(new_job() for _ in range(1_000)))
        claims = door.claim(1_000)
        assert len(claims) == 1_000
        turn = door.turn([settle(claim, Succeeded(claim.args), RETRY) for claim in claims])
        assert turn.refused == []
        assert door.count(states=(State.COMPLETED,)) == 1_000

    # pause

    def test_a_paused_queue_gives_nothing_and_others_go_on(self, door: Door) -> None:
        door.enqueue(new_job(id="a"), new_job(id="b", queue="other"))
        door.pause()
        turn = door.turn([], Want("mail", 5, ("send",)), Want("other", 5, ("send",)))
        assert ids(turn.claims) == ["b"]
        door.pause(paused=False)
        assert ids(door.claim(5)) == ["a"]

    def test_what_runs_in_a_paused_queue_may_end(self, door: Door) -> None:
        claim = door.take()
        door.pause()
        assert door.end(claim, Succeeded(None))
        assert door.job(claim.lease.job_id).state is State.COMPLETED

    # time

    def test_a_scheduled_job_is_not_given_before_it_is_due(self, door: Door) -> None:
        door.add(delay=30)
        door.clock.advance(29.5)
        assert door.claim() == []
        door.clock.advance(0.5)
        assert len(door.claim()) == 1

    def test_any_turn_moves_due_jobs_into_line(self, door: Door) -> None:
        job_id = door.add(delay=30)
        before = door.job(job_id)
        door.clock.advance(31)
        door.turn([])
        job = door.job(job_id)
        assert (job.state, job.run_at) == (State.QUEUED, before.run_at)
        assert (job.version > before.version, job.updated_at) == (True, door.clock.now)

    def test_a_job_that_became_due_stands_where_its_creation_puts_it(self, door: Door) -> None:
        door.add(id="late", delay=10)
        door.add(id="early", delay=5)
        door.add(id="now")
        door.clock.advance(20)
        assert ids(door.claim(3)) == ["late", "early", "now"]

    def test_a_turn_tells_when_the_next_scheduled_job_is_due(self, door: Door) -> None:
        door.add(delay=30)
        door.add(delay=12, queue="other", task="strange")
        assert door.turn([]).next_due == 12
        door.clock.advance(12)
        assert door.turn([]).next_due == 18
        door.clock.advance(18)
        assert door.turn([]).next_due is None

    def test_a_turn_that_schedules_a_retry_tells_when_it_is_due(self, door: Door) -> None:
        claim = door.take()
        turn = door.turn([settle(claim, Failed(BROKEN, delay=7), RETRY)], Want("mail", 1, ("send",)))
        assert (turn.claims, turn.next_due) == ([], 7)

    def test_a_clock_that_jumps_back_starts_nothing_early_and_breaks_nothing(self, door: Door) -> None:
        door.add(id="later", delay=30)
        door.add(id="now")
        door.clock.advance(-1_000)
        [claim] = door.claim(5)
        assert claim.lease.job_id == "now"
        assert door.end(claim, Succeeded(None))
        assert door.turn([]).next_due == 1_030
        door.clock.advance(1_030)
        assert ids(door.claim(5)) == ["later"]

    def test_a_job_whose_time_has_passed_comes_marked_as_expired(self, door: Door) -> None:
        door.enqueue(new_job(id="a", expires=10), new_job(id="b", expires=11), new_job(id="c"))
        door.clock.advance(10)
        assert {claim.lease.job_id: claim.expired for claim in door.claim(3)} == {"a": True, "b": False, "c": False}

    # attempts

    def test_each_claim_is_a_new_attempt_with_a_clean_slate(self, door: Door) -> None:
        first = door.take()
        door.pulse(first, progress=Progress(current=3, total=4))
        assert door.end(first, Failed(BROKEN, delay=0))
        door.turn([])
        door.clock.advance(9)
        [second] = door.claim(worker="w2")
        job = door.job(second.lease.job_id)
        assert (second.attempt, second.errors) == (2, 1)
        assert (job.attempt, job.worker, job.started_at, job.progress) == (2, "w2", door.clock.now, None)

    def test_fences_only_grow(self, door: Door) -> None:
        claim = door.take()
        fences = [claim.lease.fence]
        for _ in range(3):
            assert door.end(claim, Released())
            claim = door.again(claim.lease.job_id)
            fences.append(claim.lease.fence)
        assert fences == sorted(set(fences))

    def test_a_job_handed_back_can_be_given_again_in_the_same_turn(self, door: Door) -> None:
        claim = door.take()
        turn = door.turn([settle(claim, Released(), RETRY)], Want("mail", 1, ("send",)), worker="w2")
        assert ids(turn.claims) == [claim.lease.job_id]
        assert door.job(claim.lease.job_id).worker == "w2"

    # jobs that took a process down

    def crash(self, door: Door, *names: str) -> None:
        """Leave these jobs queued with one crash each."""
        door.enqueue(*(new_job(id=name) for name in names))
        claims = door.claim(len(names))
        door.turn([settle(claim, Lost(), RETRY) for claim in claims])

    def test_one_crashed_job_at_most_is_given_per_turn_whatever_is_wanted(self, door: Door) -> None:
        self.crash(door, "a")
        [other] = door.enqueue(new_job(id="b", queue="other"))
        door.end(door.again(other.id), Lost())
        wants = [Want("other", 5, ("send",)), Want("mail", 5, ("send",))]
        assert ids(door.turn([], *wants).claims) == ["b"]
        assert ids(door.turn([], *wants).claims) == ["a"]

    def test_what_is_given_comes_want_by_want(self, door: Door) -> None:
        """Also where two of them are for the same queue."""
        self.crash(door, "old")
        door.add(id="young")
        wants = Want("mail", 1, ("send",), crashed=False), Want("mail", 1, ("send",))
        assert ids(door.turn([], *wants).claims) == ["young", "old"]

    def test_one_crashed_job_at_most_is_given_per_want(self, door: Door) -> None:
        self.crash(door, "a", "b", "c")
        door.add(id="calm")
        assert sorted(ids(door.claim(9))) == ["a", "calm"]
        assert ids(door.claim(9)) == ["b"]

    def test_one_crashed_job_at_most_is_given_per_turn_whichever_queue_it_comes_from(self, door: Door) -> None:
        self.crash(door, "a", "b")
        door.enqueue(new_job(id="c", queue="other"))
        (claim,) = door.claim(1, queue="other")
        door.turn([settle(claim, Lost(), RETRY)])
        both = Want("mail", 9, ("send",)), Want("other", 9, ("send",))
        assert len(door.turn([], *both).claims) == 1
        assert len(door.turn([], *both).claims) == 1

    def test_a_worker_that_asks_for_no_crashed_job_gets_none(self, door: Door) -> None:
        self.crash(door, "a", "b")
        door.add(id="calm")
        assert ids(door.claim(9, crashed=False)) == ["calm"]
        assert door.job("a").state is State.QUEUED

    def test_a_crashed_job_goes_first_and_counts_against_the_limit(self, door: Door) -> None:
        self.crash(door, "a", "b")
        door.add(id="calm", priority=9)
        assert ids(door.claim(1)) == ["a"]
        assert ids(door.claim(2, crashed=False)) == ["calm"]

    def test_no_crashed_job_is_given_where_there_is_no_room(self, door: Door) -> None:
        self.crash(door, "a")
        assert door.claim(0) == []

    def test_a_crashed_job_of_a_task_the_worker_does_not_know_stays(self, door: Door) -> None:
        self.crash(door, "a")
        assert door.claim(9, tasks=("fax",)) == []

    def test_a_crashed_job_of_a_paused_queue_stays(self, door: Door) -> None:
        self.crash(door, "a")
        door.pause()
        assert door.claim(9) == []

    # colour

    def test_a_blocking_engine_never_suspends(self, door: Door) -> None:
        if not door.engine.blocking:
            pytest.skip("this engine does not block")
        door.add()
        assert len(finish(door.engine.turn("w1", [], [Want("mail", 1, ("send",))], lease=LEASE)).claims) == 1

    def test_threads_that_share_a_blocking_engine_never_share_a_job(self, door: Door) -> None:
        if not door.engine.blocking:
            pytest.skip("this engine is used from one loop only")
        door.enqueue(*(new_job() for _ in range(200)))
        given: list[list[str]] = []

        def work(worker: str) -> None:
            mine: list[str] = []
            while claims := finish(door.engine.turn(worker, [], [Want("mail", 3, ("send",))], lease=LEASE)).claims:
                mine += ids(claims)
            given.append(mine)

        threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        everything = [job_id for mine in given for job_id in mine]
        assert (len(given), len(everything), len(set(everything))) == (4, 200, 200)
