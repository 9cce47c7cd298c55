"""Moving house: what one engine keeps arrives in another as it was, once, whatever happens on the way."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from commandline import Done, on_terminal, run_here
from jobsworth.cli import move
from jobsworth.conformance.door import finish
from jobsworth.engine import Engine, Want, Where, WorkerCard
from jobsworth.engines import from_url
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.errors import EngineUnavailable
from jobsworth.job import FINAL, Attempt, Failure, Job, NewJob, Progress, State
from jobsworth.lifecycle import settle
from jobsworth.outcome import Succeeded
from jobsworth.retry import Retry

DAY = 86_400.0
WHY = Failure("ValueError", "nö", "exhausted", "Traceback: …")
_numbers = count(1)


def a_job(state: State, age: float = 60.0, **changes: Any) -> Job:
    """A job with everything a store keeps, that ended `age` seconds ago if it has ended."""
    now = time.time()
    ended = now - age if state in FINAL else None
    past = [Attempt(1, "w1", now - 90, now - 80, "failed", WHY), Attempt(2, "w2", now - 70, ended, "timed_out", WHY)]
    if state is State.COMPLETED:
        past[-1] = Attempt(2, "w2", now - 70, ended, "succeeded")
    job = Job(
        id=f"job-{next(_numbers)}", queue="mail", task="send", state=state, args=b'{"to": "\xc3\xa4"}', priority=2,
        attempt=2, errors=1, max_attempts=5, owner="user:7", label="Brief", tags=("red", "blue"), meta=b'{"a":1}',
        timeout=3.5, created_at=now - 100, updated_at=now - 50, run_at=now + (900 if state is State.SCHEDULED else -95),
        started_at=now - 70, finished_at=ended, worker="w2" if state in FINAL else None,
        progress=Progress(1, 3, None, "going"), result=b'"done"' if state is State.COMPLETED else None,
        failure=WHY if state is State.FAILED else None, version=17, attempts=tuple(past),
    )  # fmt: skip
    return replace(job, **changes)


class Ends:
    """Two places, and the command between them."""

    def __init__(self, folder: Path, source: str, target: str) -> None:
        self.folder, self.source, self.target = folder, source, target
        self.here, self.there = from_url(source), from_url(target)

    def move(self, *options: str) -> Done:
        return run_here(self.folder, "move-engine", self.source, self.target, *options)

    def put(self, *jobs: Job) -> None:
        finish(self.here.open())
        assert len(ask(self.here, lambda engine: engine.adopt(jobs))) == len(jobs)

    def one_of_each(self) -> list[Job]:
        jobs = [a_job(state) for state in (State.QUEUED, State.SCHEDULED, *sorted(FINAL))]
        self.put(*jobs)
        return jobs

    def jobs(self, engine: Engine) -> list[Job]:
        return ask(engine, lambda engine: engine.find(Where(limit=None, newest_first=False)))


def ask(engine: Engine, verb: Callable[[Engine], Any]) -> Any:
    return finish(verb(engine))


@pytest.fixture(params=[
    "sqlite to postgres", "postgres to sqlite", "sqlite to sqlite", "postgres to postgres", "sqlite to redis",
    "redis to sqlite", "postgres to redis", "redis to postgres", "redis to redis",
])  # fmt: skip
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ends]:
    urls = []
    for number, kind in enumerate(request.param.split(" to ")):
        if kind == "sqlite":
            urls.append(f"sqlite:///{tmp_path / f'{number}.db'}")
        elif kind == "postgres":
            urls.append(request.getfixturevalue("postgres").new_database() + "?doorbell=off")
        else:
            urls.append(request.getfixturevalue("redis").new_namespace() + "&doorbell=off")
    ends = Ends(tmp_path, *urls)
    yield ends
    for engine in (ends.here, ends.there):
        finish(engine.close())


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Ends]:
    """From SQLite to SQLite, where the engines make no difference."""
    ends = Ends(tmp_path, f"sqlite:///{tmp_path}/here.db", f"sqlite:///{tmp_path}/there.db")
    yield ends
    for engine in (ends.here, ends.there):
        finish(engine.close())


def test_every_job_arrives_as_it_was(ends: Ends) -> None:
    jobs = ends.one_of_each()
    done = ends.move()
    assert done.code == 0, done.err
    assert "copied 5 jobs" in done.out
    assert ends.jobs(ends.there) == jobs
    assert ends.jobs(ends.here) == jobs, "FROM is left as it is"


def test_a_second_run_makes_no_duplicates_and_brings_what_came_since(ends: Ends) -> None:
    jobs = ends.one_of_each()
    assert ends.move().code == 0
    late = a_job(State.QUEUED)
    ends.put(late)
    done = ends.move("--json")
    assert done.code == 0
    assert (done.json["copied"], done.json["known"], done.json["complete"]) == (1, 5, True)
    assert ends.jobs(ends.there) == [*jobs, late]


def test_a_dry_run_counts_and_makes_nothing(ends: Ends) -> None:
    ends.one_of_each()
    done = ends.move("--dry-run", "--json")
    assert done.code == 0
    assert done.json["states"]["queued"] == {"from": 1, "to": 0}
    assert done.json["copied"] == 0
    assert ask(ends.there, lambda engine: engine.schema_version()).found is None
    assert "a dry run" in ends.move("--dry-run").out


def test_moved_jobs_run_there(ends: Ends) -> None:
    waiting = a_job(State.QUEUED)
    ends.put(waiting)
    assert ends.move().code == 0
    turn = ask(ends.there, lambda engine: engine.turn("w", [], [Want("mail", 5, ("send",))], lease=30))
    [claim] = turn.claims
    assert (claim.lease.job_id, claim.attempt, claim.args) == (waiting.id, 3, waiting.args)
    ended = settle(claim, Succeeded(b"1"), Retry())
    assert ask(ends.there, lambda engine: engine.turn("w", [ended], [], lease=30)).refused == []
    [job] = ends.jobs(ends.there)
    assert [attempt.outcome for attempt in job.attempts] == ["failed", "timed_out", "succeeded"]


def test_paused_queues_are_paused_there_before_their_jobs_arrive(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    ends.one_of_each()
    assert run_here(ends.folder, "queues", "pause", "mail", "--url", ends.source).code == 0
    seen: list[bool] = []
    copy = move._copy

    def spy(there: Any, *rest: Any) -> None:
        seen.extend(queue.paused for queue in there.queue_statuses())
        copy(there, *rest)

    monkeypatch.setattr(move, "_copy", spy)
    done = ends.move()
    assert done.code == 0
    assert "paused: mail" in done.out
    assert seen == [True]


def test_a_move_that_is_cut_off_goes_on_where_it_stopped(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(move, "FIRST", 4)
    monkeypatch.setattr(move, "BATCH", 4)
    jobs = [a_job(State.QUEUED) for _ in range(18)]
    ends.put(*jobs)
    kind = type(ends.there)
    adopt, calls = kind.adopt, count(1)

    async def failing(self: Engine, jobs: list[Job]) -> list[str]:
        if next(calls) == 3:
            raise EngineUnavailable("the cable is out")
        return await adopt(self, jobs)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(kind, "adopt", failing)
        done = ends.move()
    assert done.code == 3
    assert "stopped after 8 jobs, which are there to stay; run it again to go on" in done.err
    assert "error[E201]: the cable is out" in done.err
    assert len(ends.jobs(ends.there)) == 8
    done = ends.move("--json")
    assert done.code == 0
    assert (done.json["copied"], done.json["known"]) == (10, 8)
    assert ends.jobs(ends.there) == jobs


def test_thousands_of_jobs_arrive_in_their_order(ends: Ends) -> None:
    jobs = [a_job(state, key=None) for _ in range(700) for state in (State.QUEUED, State.COMPLETED, State.FAILED)]
    for first in range(0, len(jobs), 500):
        ends.put(*jobs[first : first + 500])
    done = ends.move("--json")
    assert done.code == 0
    assert done.json["copied"] == 2100
    assert [job.id for job in ends.jobs(ends.there)] == [job.id for job in jobs]


def test_running_jobs_stay_and_are_told_until_they_have_ended(ends: Ends) -> None:
    ends.put(a_job(State.QUEUED), a_job(State.QUEUED, queue="fax"))
    turn = ask(ends.here, lambda engine: engine.turn("w", [], [Want("fax", 1, ("send",))], lease=30))
    done = ends.move()
    assert done.code == 1
    assert "running" in done.out
    assert "1 job is still held by a worker on FROM; run it again afterwards" in done.err
    assert [job.queue for job in ends.jobs(ends.there)] == ["mail"]
    ended = settle(turn.claims[0], Succeeded(b"1"), Retry())
    assert ask(ends.here, lambda engine: engine.turn("w", [ended], [], lease=30)).refused == []
    done = ends.move()
    assert done.code == 0, done.err + done.out
    assert {job.id: job for job in ends.jobs(ends.there)} == {job.id: job for job in ends.jobs(ends.here)}


def test_live_workers_on_from_are_refused_unless_forced(files: Ends) -> None:
    files.one_of_each()
    ask(files.here, lambda engine: engine.pulse(WorkerCard(id="busy-1"), [], lease=30))
    done = files.move()
    assert done.code == 2
    assert "1 worker alive on FROM: busy-1" in done.err
    assert ask(files.there, lambda engine: engine.schema_version()).found is None
    assert files.move("--dry-run").code == 0
    assert files.move("--force").code == 0


def test_what_ended_long_ago_stays_but_dead_letters_of_any_age_come(files: Ends) -> None:
    files.put(
        a_job(State.COMPLETED, 8 * DAY), a_job(State.CANCELLED, 8 * DAY), a_job(State.FAILED, 800 * DAY),
        a_job(State.COMPLETED, 6 * DAY),
    )  # fmt: skip
    done = files.move("--json")
    assert done.code == 0
    assert done.json["older"] == 2
    assert [job.state for job in files.jobs(files.there)] == [State.FAILED, State.COMPLETED]
    assert files.move("--recent", "30d", "--json").json["copied"] == 2
    assert files.move("--recent", "0", "--json").json["states"]["completed"] == {"from": 0, "to": 0}
    assert files.move("--recent", "long").code == 2


def test_a_key_that_is_taken_there_is_told(files: Ends) -> None:
    files.put(a_job(State.QUEUED, key="order-7"), a_job(State.QUEUED))
    finish(
        files.there.enqueue(
            [[NewJob(id="here-first", queue="mail", task="send", args=b"{}", max_attempts=1, key="order-7")]]
        )
    )
    done = files.move()
    assert done.code == 1
    assert "1 job not copied: another live job on TO has the same key" in done.err
    assert "differs" in done.out
    assert len(files.jobs(files.there)) == 2


def test_jobs_that_went_on_there_make_the_counts_differ(files: Ends) -> None:
    files.put(a_job(State.QUEUED), a_job(State.QUEUED))
    assert files.move().code == 0
    ask(files.there, lambda engine: engine.turn("w", [], [Want("mail", 1, ("send",))], lease=30))
    done = files.move("--json")
    assert done.code == 1
    assert done.json["states"]["queued"] == {"from": 2, "to": 1}
    assert done.json["states"]["running"] == {"from": 0, "to": 1}
    assert "the counts differ" in files.move().err


def test_jobs_that_come_meanwhile_make_the_counts_differ_until_the_next_run(
    files: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.put(a_job(State.QUEUED))
    batches = move._batches

    def late(store: Any) -> Iterator[list[Job]]:
        yield from batches(store)
        files.put(a_job(State.QUEUED))

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(move, "_batches", late)
        assert files.move().code == 1
    assert files.move().code == 0


def test_a_damaged_job_is_left_and_told(files: Ends) -> None:
    files.put(a_job(State.FAILED, id="damaged"), a_job(State.FAILED))
    finish(files.here.close())
    with sqlite3.connect(files.folder / "here.db") as connection:
        connection.execute("UPDATE jobsworth_jobs SET tags = 'no JSON' WHERE id = 'damaged'")
    connection.close()
    done = files.move()
    assert done.code == 1
    assert "1 job not copied: damaged on FROM" in done.err
    assert len(files.jobs(files.there)) == 1


def test_large_jobs_travel_in_small_batches(files: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    files.put(*(a_job(State.QUEUED, args=b"x" * 100_000) for _ in range(60)))
    monkeypatch.setattr(move, "BUDGET", 500_000)
    limits: list[int] = []
    scan = SqliteEngine.scan

    async def spy(self: SqliteEngine, after: int, limit: int) -> tuple[list[Job], int]:
        limits.append(limit)
        return await scan(self, after, limit)

    monkeypatch.setattr(SqliteEngine, "scan", spy)
    assert files.move("--json").json["copied"] == 60
    assert limits[0] == move.FIRST
    assert set(limits[1:]) == {4}


def test_a_move_must_have_two_ends_that_others_can_see(files: Ends) -> None:
    files.one_of_each()
    same = run_here(files.folder, "move-engine", "sqlite:///here.db", f"sqlite:///{files.folder}/here.db")
    assert (same.code, "the same place" in same.err) == (2, True)
    assert run_here(files.folder, "move-engine", files.source, "memory://").code == 2
    assert run_here(files.folder, "move-engine", "memory://", files.target).code == 2
    assert run_here(files.folder, "move-engine", "sqlite:///nothing.db", files.target).code == 3
    assert run_here(files.folder, "move-engine", files.source, "postgresql://u:s3cret@127.0.0.1:1/db").code == 3
    assert not (files.folder / "nothing.db").exists()


def test_a_person_sees_a_bar(files: Ends) -> None:
    files.one_of_each()
    code, screen = on_terminal(files.folder, "move-engine", files.source, files.target)
    assert code == 0
    assert "copying" in screen
    assert "copied 5 jobs" in screen
