"""Why a job is not running: from scenes to findings, and what engines really show of each of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobsworth import JobNotFound, Jobsworth
from jobsworth import why as module
from jobsworth.clock import ManualClock
from jobsworth.conformance import Door, new_job
from jobsworth.conformance.door import Run, finish
from jobsworth.engine import QueueStatus, WorkerCard
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.errors import EngineUnavailable
from jobsworth.handle import why_of
from jobsworth.job import Attempt, Failure, Job, State
from jobsworth.lifecycle import RUN_NOW
from jobsworth.outcome import Failed, Lost, Released, Snoozed, Stopped, Succeeded
from jobsworth.why import Scene, Why, explain

NOW = 1_700_000_000.0
ERROR = Failure("ValueError", "no picture")
ANNA = WorkerCard(id="anna", queues={"mail": 2}, tasks=("send",), beat=1.0)


def job(state: State = State.QUEUED, **facts: Any) -> Job:
    given = {"id": "a", "queue": "mail", "task": "send", "args": b"{}", "run_at": NOW - 1, "max_attempts": 5} | facts
    return Job(state=state, **given)


def held(id: str, seconds: float, worker: str = "anna", **facts: Any) -> Job:  # noqa: A002 (the field's name)
    return job(State.RUNNING, id=id, started_at=NOW - seconds, worker=worker, **facts)


def scene(the_job: Job, *, workers: tuple[WorkerCard, ...] = (ANNA,), **facts: Any) -> Scene:
    holders = facts.get("holders", ())
    queue = QueueStatus(
        queue="mail", paused=facts.pop("paused", False), counts={State.RUNNING: len(holders)},
        out_rate=facts.pop("out_rate", 0), slots=sum(card.queues.get("mail", 0) for card in workers),
    )  # fmt: skip
    ahead = facts.pop("ahead", 0 if the_job.state is State.QUEUED else None)
    return Scene(job=the_job, now=NOW, ahead=ahead, queue=queue, workers=workers, **facts)


def asked(the_job: Job, **facts: Any) -> Why:
    return explain(scene(the_job, **facts))


def only(why: Why) -> tuple[str, str, str]:
    [finding] = why.findings
    return finding.word, finding.text, finding.do


# Scenes to sentences.


def test_a_free_slot_means_it_starts() -> None:
    word, text, do = only(asked(job()))
    assert (word, text) == ("starting", "nothing is in its way: anna can take it")
    assert do == "follow it: jobsworth watch a"


def test_a_free_slot_that_does_not_take_it_is_odd() -> None:
    word, text, _ = only(asked(job(run_at=NOW - 40)))
    assert (word, text) == (
        "starting",
        "nothing is in its way, yet it has been ready for 40 s and anna did not take it",
    )


def test_a_paused_queue_is_said_with_the_command_that_lets_it_go_on() -> None:
    assert only(asked(job(), paused=True)) == (
        "paused", 'queue "mail" is paused', "let it go on: jobsworth queues resume mail",
    )  # fmt: skip


def test_no_worker_at_all_is_another_matter_than_none_for_its_queue() -> None:
    assert only(asked(job(), workers=())) == (
        "no-worker", 'no worker is live, so none is listening on "mail"', "start one: jobsworth worker",
    )  # fmt: skip
    elsewhere = WorkerCard(id="bert", queues={"fax": 1}, tasks=("send",))
    assert only(asked(job(), workers=(elsewhere,))) == (
        "not-served", 'no worker is listening on "mail": bert does not serve it',
        "start one that does: jobsworth worker --queues mail",
    )  # fmt: skip


def test_workers_that_are_silent_or_stopping_or_lack_the_task_do_not_count() -> None:
    silent = msgspec.structs.replace(ANNA, beat=31.0)
    stopping = msgspec.structs.replace(ANNA, id="bert", stopping=True)
    older = msgspec.structs.replace(ANNA, id="carl", tasks=("ring",))
    assert asked(job(), workers=(silent,)).words == ["silent"]
    assert "for 31 s: anna" in only(asked(job(), workers=(silent,)))[1]
    assert asked(job(), workers=(silent, stopping)).words == ["stopping"]
    assert asked(job(), workers=(silent, stopping, older)).words == ["unknown-task"]
    assert "W301" in only(asked(job(), workers=(older,)))[1]
    assert asked(job(), workers=(silent, stopping, older, ANNA)).words == ["starting"]


def test_the_way_to_start_a_worker_is_the_callers() -> None:
    [finding] = explain(scene(job(), workers=()), "jobsworth worker app:jobs").findings
    assert finding.do == "start one: jobsworth worker app:jobs"


def test_slots_are_named_with_who_holds_them_for_how_long_the_longest_first() -> None:
    word, text, do = only(asked(job(), holders=(held("y", 5), held("x", 240))))
    assert word == "busy"
    assert text == 'all 2 slots of "mail" are held by x send for 4 m and y send for 5 s'
    assert do == "wait, or add slots: jobsworth worker --queues mail:3; or stop one: jobsworth cancel x"


def test_many_holders_are_counted_rather_than_named() -> None:
    many = msgspec.structs.replace(ANNA, queues={"mail": 6})
    holders = tuple(held(f"h{number}", 10) for number in range(6))
    assert only(asked(job(), workers=(many,), holders=holders))[1].endswith("h2 send for 10 s and 3 more")


def test_what_a_vanished_worker_held_takes_no_slot() -> None:
    holders = (held("x", 50, "gone"), held("y", 5))
    assert asked(job(), holders=holders).words == ["starting"]


def test_slots_of_workers_that_do_not_know_the_task_are_no_room_for_it() -> None:
    older = WorkerCard(id="carl", queues={"mail": 8}, tasks=("ring",))
    assert asked(job(), workers=(ANNA, older), holders=(held("x", 9), held("y", 9))).words == ["busy"]


def test_slots_of_workers_that_are_silent_or_stopping_are_no_room_either() -> None:
    both = (held("x", 9), held("y", 9))
    for change in ({"beat": 40.0}, {"stopping": True}):
        other = msgspec.structs.replace(ANNA, id="bert", **change)
        assert asked(job(), workers=(ANNA, other), holders=both).words == ["busy"]


def test_a_long_line_goes_before_busy_slots_and_a_short_one_after() -> None:
    both = (held("x", 9), held("y", 9))
    assert asked(job(), ahead=2, holders=both).words == ["busy", "ahead"]
    long = asked(job(), ahead=1200, holders=both, out_rate=600)
    assert long.words == ["ahead", "busy"]
    assert long.findings[0].text == (
        '1,200 jobs of "mail" are given out before it; at the pace of the last minute (600 ended) its turn comes in'
        " about 2 m"
    )
    assert asked(job(), ahead=1, holders=both).findings[1].text == '1 job of "mail" is given out before it'


def test_those_before_it_that_free_slots_take_as_well_are_no_reason() -> None:
    assert asked(job(), ahead=1).words == ["starting"]
    assert asked(job(), ahead=2).words == ["ahead"]


def test_nobody_to_take_it_goes_before_those_before_it() -> None:
    assert asked(job(), ahead=7, workers=()).words == ["no-worker", "ahead"]
    why = asked(job(), ahead=7, paused=True, workers=(), out_rate=60)
    assert why.words == ["paused", "no-worker", "ahead"]
    assert "pace" not in why.findings[-1].text, "a paused queue has none"


def test_a_once_crashed_job_waits_for_a_process_that_runs_no_other() -> None:
    poison, other = job(crashes=1), held("p", 60, crashes=1, queue="fax")
    why = asked(poison, crashed=(other,))
    assert why.words == ["crashed"]
    assert "it took its process down once" in why.findings[0].text
    assert "p on anna runs now" in why.findings[0].text
    bert = msgspec.structs.replace(ANNA, id="bert")
    assert asked(poison, crashed=(other,), workers=(ANNA, bert)).words == ["starting"]
    assert asked(job(), crashed=(other,)).words == ["starting"], "the rule is not for those that never crashed"


def test_a_job_for_later_says_when_and_what_would_hold_it_then() -> None:
    word, text, do = only(asked(job(State.SCHEDULED, run_at=NOW + 3 * 3600)))
    assert (word, do) == ("scheduled", "wait, or have it tried now: jobsworth retry a")
    assert text == "it is scheduled: it may start in 3 h, at 2023-11-15 01:13:20 UTC"
    assert asked(job(State.SCHEDULED, run_at=NOW + 9), paused=True).words == ["scheduled", "paused"]
    assert asked(job(State.SCHEDULED, run_at=NOW + 9), holders=(held("x", 1), held("y", 1))).words == ["scheduled"]


def test_a_job_that_waits_for_its_next_attempt_shows_the_error_of_the_last() -> None:
    past = Attempt(2, "anna", NOW - 9, NOW - 1, "failed", ERROR)
    word, text, _ = only(asked(job(State.SCHEDULED, run_at=NOW + 34, errors=2, attempt=2, attempts=(past,))))
    assert word == "retry"
    assert text.startswith("attempt 2 failed: ValueError: no picture; the next one begins in 34 s, at ")
    assert text.endswith("(2 of 5 attempts used up by errors)")


def test_a_scheduled_job_whose_time_has_come_is_looked_at_like_a_queued_one() -> None:
    assert asked(job(State.SCHEDULED, run_at=NOW - 60), workers=()).words == ["no-worker"]
    assert asked(job(State.SCHEDULED, run_at=NOW - 60)).words == ["starting"]


def test_a_limit_to_its_start_is_told_last_and_its_passing_too() -> None:
    assert asked(job(expires_at=NOW + 60), workers=()).words == ["no-worker", "expires"]
    why = asked(job(expires_at=NOW - 60), workers=())
    assert "passed 1 m ago" in why.findings[-1].text


def test_a_running_job_says_where_and_since_when() -> None:
    running = held("a", 240, attempt=2)
    word, text, do = only(asked(running))
    assert (word, text) == ("running", "it runs: attempt 2 of 5 on anna, for 4 m")
    assert do == "follow it: jobsworth watch a; stop it: jobsworth cancel a"


def test_a_running_job_without_a_live_worker_waits_for_its_rescue() -> None:
    running, bert = held("a", 240, "gone"), msgspec.structs.replace(ANNA, id="bert")
    why = asked(running, workers=(bert,))
    assert why.words == ["worker-lost", "running"]
    assert "its worker gone is gone; another one takes it over" in why.findings[0].text
    silent = msgspec.structs.replace(ANNA, beat=40.0)
    why = asked(held("a", 240), workers=(silent,))
    assert why.words == ["worker-lost", "running"]
    assert why.findings[0].text == "its worker anna is silent for 40 s; no live worker is there to take it over"
    assert why.findings[0].do == "start one: jobsworth worker"


def test_a_job_that_does_not_stop_says_who_asked_for_what() -> None:
    stopping = job(State.CANCELLING, started_at=NOW - 5, worker="anna", cancel_reason="too dear", attempt=1)
    word, text, _ = only(asked(stopping))
    assert word == "cancelling"
    assert text == "it was asked to stop: too dear, and still runs: attempt 1 of 5 on anna, for 5 s"


@pytest.mark.parametrize(
    ("state", "failure", "word", "says"),
    [
        (State.COMPLETED, None, "completed", "it is done: it ended 1 m ago, after 3 attempts"),
        (
            State.FAILED, Failure("ValueError", "no picture", "exhausted"), "failed",
            "it was given up 1 m ago, after 3 attempts (exhausted): ValueError: no picture",
        ),
        (State.CANCELLED, Failure("Cancelled", "too dear", "cancelled"), "cancelled", "1 m ago: too dear"),
        (State.CANCELLED, Failure("Cancelled", "cancelled", "cancelled"), "cancelled", "it was cancelled 1 m ago"),
        (State.CANCELLED, Failure("Expired", "too late", "expired"), "expired", "it was not started in time"),
    ],
)  # fmt: skip
def test_an_ended_job_says_how_and_how_to_run_it_again(
    state: State, failure: Failure | None, word: str, says: str
) -> None:
    found, text, do = only(asked(job(state, finished_at=NOW - 60, attempt=3, failure=failure)))
    assert found == word
    assert says in text
    assert "jobsworth retry a" in do


def test_an_ended_job_whose_key_another_one_holds_cannot_be_tried_again_yet() -> None:
    why = asked(job(State.FAILED, finished_at=NOW, failure=ERROR, key="k"), rival=job(id="b", key="k"))
    assert why.words == ["failed", "key-held"]
    assert "its key 'k' is held by the live job b (queued)" in why.findings[1].text


def test_every_word_is_documented() -> None:
    source = Path(module.__file__).read_text(encoding="utf-8")
    words = set(re.findall(r'Finding\(\s*"([a-z-]+)"', source))
    page = (Path(__file__).parent.parent / "docs" / "queues.md").read_text(encoding="utf-8")
    assert len(words) == 23
    assert [word for word in words if f"`{word}`" not in page] == []
    assert [word for word in words if word not in (module.__doc__ or "")] == []


# What engines show.


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def door(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Door]:
    clock = ManualClock()
    match request.param:
        case "memory":
            engine: Any = MemoryEngine(clock)
        case "sqlite":
            engine = SqliteEngine(tmp_path / "jobs.db", clock=clock)
        case "postgres":
            from jobsworth.engines.postgres import PostgresEngine

            engine = PostgresEngine(request.getfixturevalue("postgres").new_database(), where="here", clock=clock)
        case _:
            from jobsworth.engines.redis import RedisEngine

            engine = RedisEngine(request.getfixturevalue("redis").new_namespace(), clock=clock)
    finish(engine.open())
    with asyncio.Runner() as runner:
        run: Run = runner.run
        yield Door(engine, clock, run)
    finish(engine.close())


def why(door: Door, job_id: str) -> Why:
    return door.run(why_of(door.engine, job_id))


def serve(door: Door, *claims: Any, **card: Any) -> None:
    """A worker's pulse, for these runs."""
    given = {"id": "w1", "queues": {"mail": 2}, "tasks": ("send",)} | card
    door.pulse(*claims, card=WorkerCard(**given))


def test_every_word_is_found_in_what_an_engine_shows(door: Door) -> None:
    def words(job_id: str) -> list[str]:
        return why(door, job_id).words

    first = door.add()
    assert words(first) == ["no-worker"]
    serve(door, id="elsewhere", queues={"fax": 1})
    assert words(first) == ["not-served"]
    serve(door, tasks=("ring",))
    assert words(first) == ["unknown-task"]
    serve(door)
    assert words(first) == ["starting"]
    serve(door, stopping=True)
    assert words(first) == ["stopping"]
    serve(door)
    door.pause()
    assert words(first) == ["paused"]
    door.pause(paused=False)
    second, third, fourth = door.add(), door.add(), door.add()
    claims = door.claim(2)
    assert words(first) == words(second) == ["running"]
    assert words(third) == ["busy"]
    assert words(fourth) == ["busy", "ahead"]
    door.cancel(first)
    assert words(first) == ["cancelling"]
    door.end(claims[0], Stopped())
    assert words(first) == ["cancelled"]
    door.clock.advance(40)
    assert words(second)[0] == "worker-lost"
    assert words(third) == ["silent"]
    serve(door, claims[1])
    door.end(claims[1], Failed(ERROR))
    assert words(second) == ["retry"]
    door.clock.advance(60)
    serve(door)
    assert words(second) == ["starting"]


def test_ages_are_told_by_the_engines_clock(door: Door) -> None:
    waiting, running = door.add(delay=90), door.take()
    door.clock.advance(30)
    assert "in 1 m," in why(door, waiting).findings[0].text
    serve(door, running)
    assert why(door, running.lease.job_id).findings[0].text.endswith("on w1, for 30 s")


def test_the_endings_that_come_back_are_told_apart(door: Door) -> None:
    serve(door)
    snoozed, released, lost = door.take(id="s"), door.take(id="r"), door.take(id="l")
    door.end(snoozed, Snoozed(60))
    door.end(released, Released(60))
    door.end(lost, Lost("killed"))
    assert [why(door, each).words[0] for each in "srl"] == ["snoozed", "scheduled", "starting"]


def test_the_crash_rule_is_found_across_queues(door: Door) -> None:
    serve(door, queues={"mail": 4, "fax": 1})
    for job_id, queue in (("x", "fax"), ("y", "mail")):
        door.end(door.take(id=job_id, queue=queue), Lost("killed"))
    [claim] = door.claim(queue="fax")
    assert claim.crashes == 1
    assert why(door, "y").words == ["crashed"]
    door.end(claim, Succeeded(b"1"))
    assert why(door, "y").words == ["starting"]


def test_a_rival_for_the_key_is_found(door: Door) -> None:
    first = door.take(key="k", id="first")
    door.end(first, Failed(ERROR, final=True))
    door.add(key="k", id="second")
    assert why(door, "first").words == ["failed", "key-held"]
    assert why(door, "second").words == ["no-worker"]


def test_asking_changes_nothing(door: Door) -> None:
    jobs = door.bring_all()
    before = door.find()
    for job_id in jobs.values():
        assert why(door, job_id).findings
    assert door.find() == before


# As a program asks.


def test_a_handle_and_the_app_tell_the_same_in_both_colours() -> None:
    jobs = Jobsworth("memory://")

    @jobs.task
    def send() -> None: ...

    handle = send.enqueue()
    said = handle.why()
    assert (said.job_id, said.state, said.words) == (handle.id, State.QUEUED, ["no-worker"])
    assert jobs.why(handle.id) == said == asyncio.run(handle.awhy()) == asyncio.run(jobs.awhy(handle.id))
    assert str(said) == 'no worker is live, so none is listening on "default"; start one: jobsworth worker'
    assert msgspec.to_builtins(said) == {
        "job_id": handle.id, "state": "queued",
        "findings": [{
            "word": "no-worker", "text": 'no worker is live, so none is listening on "default"',
            "do": "start one: jobsworth worker",
        }],
    }  # fmt: skip
    with pytest.raises(JobNotFound):
        jobs.why("nobody")


class Away(MemoryEngine):
    """Does not answer."""

    async def place(self, job_id: str) -> Any:
        raise EngineUnavailable("the server is away", hint="start it")


def test_an_engine_that_does_not_answer_is_a_reason_too() -> None:
    jobs = Jobsworth(engine=Away())
    said = jobs.why("a")
    assert said == asyncio.run(jobs.awhy("a"))
    assert (said.state, said.words) == (None, ["unreachable"])
    assert str(said) == "the engine does not answer: the server is away; start it"


def test_a_job_that_goes_on_between_two_looks_is_looked_at_again() -> None:
    class Restless(MemoryEngine):
        """Its job is moved just after its place was told."""

        async def place(self, job_id: str) -> Any:
            place = await super().place(job_id)
            door.move(RUN_NOW, job_id)
            return place

    engine = Restless()
    door = Door(engine, ManualClock(), finish)
    door.enqueue(new_job(), new_job(id="a", delay=60))
    assert finish(why_of(engine, "a")).words == ["no-worker", "ahead"]


def test_a_row_that_never_agrees_with_its_place_is_explained_all_the_same() -> None:
    class Damaged(MemoryEngine):
        """Shows a job as failed that stands in line."""

        async def find(self, where: Any) -> list[Job]:
            return [msgspec.structs.replace(each, state=State.FAILED) for each in await super().find(where)]

    engine = Damaged()
    Door(engine, ManualClock(), finish).add(id="a")
    assert finish(why_of(engine, "a")).words == ["failed"]
