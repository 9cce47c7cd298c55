"""What is counted of runs, what is kept of it, and what can honestly be said from it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import sqlite3
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commandline import run
from jobsworth import Jobsworth, statistics
from jobsworth.clock import ManualClock
from jobsworth.conformance.door import QUEUE, TASK, Door, finish, new_job
from jobsworth.engine import QueueStatus, Want, Where
from jobsworth.engines.memory import MemoryEngine
from jobsworth.engines.postgres.names import named
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.handle import eta_of
from jobsworth.job import Failure, Progress
from jobsworth.lifecycle import settle
from jobsworth.naming import new_id
from jobsworth.outcome import Failed, Succeeded
from jobsworth.retry import Retry
from jobsworth.statistics import (
    BOUNDS,
    BUCKETS,
    DAY,
    HOUR,
    MINUTE,
    Sum,
    beyond,
    bucket,
    done_part,
    eta,
    folded,
    merged,
    percentile,
    told,
    unpacked,
)
from jobsworth.worker.chores import Chores
from servers import Given, Postgres, Redis

histograms = st.lists(st.integers(0, 50), min_size=BUCKETS, max_size=BUCKETS)
seconds = st.floats(0, 1e6)
shares = st.floats(0, 1)


def histogram(*durations: float) -> list[int]:
    counts = [0] * BUCKETS
    for each in durations:
        counts[bucket(each)] += 1
    return counts


# buckets


def test_bounds_only_grow() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))


def test_a_bound_begins_the_next_bucket() -> None:
    assert [bucket(bound) for bound in BOUNDS] == list(range(1, BUCKETS))
    assert [bucket(math.nextafter(bound, 0)) for bound in BOUNDS] == list(range(BUCKETS - 1))
    assert bucket(-5.0) == bucket(0.0) == 0


def test_postgres_has_the_same_bounds() -> None:
    folder = resources.files("jobsworth.engines.postgres") / "migrations"
    texts = [each.read_text(encoding="utf-8") for each in folder.iterdir() if each.name.endswith(".sql")]
    [numbers] = [found for text in texts for found in re.findall(r"width_bucket\([^\[]+\[([^\]]+)\]", text)]
    assert tuple(map(float, numbers.split(","))) == BOUNDS


# what is kept


@st.composite
def sums(draw: st.DrawFn) -> Sum:
    total = Sum()
    for _ in range(draw(st.integers(0, 6))):
        end = draw(st.integers(0, len(statistics.ENDS) - 1))
        _, _, _, *cell = statistics.cell(0, "q", "t", end, draw(seconds), draw(seconds))
        total.count(*cell)
    if draw(st.booleans()):
        total.add(statistics.look(draw(st.integers(0, 99)), draw(st.integers(0, 99)), draw(st.none() | seconds)))
    return total


@given(sums())
def test_what_is_packed_comes_back(total: Sum) -> None:
    assert unpacked(total.packed()) == total
    assert unpacked(total.packed().decode()) == total


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b"\xff\xfe",
        b"[[1,2],0,[],[]]",
        b"[[0,0,0,0,0,0],0,[99,1],[],[]]",
        b"[[0,0,0,0,0,0],0,[1],[],[]]",
        b"[[0,0,0,0,0,0],0,[],[],[1]]",
    ],
)
def test_damaged_totals_count_as_nothing(data: bytes) -> None:
    assert unpacked(data) == Sum()


@given(st.lists(st.tuples(st.integers(0, 5000), sums()), max_size=8), st.sampled_from([60.0, 300.0, 3600.0, 90.0, 1.0]))
def test_nothing_is_lost_or_counted_twice_by_folding_or_adding_up(minutes: list[tuple[int, Sum]], step: float) -> None:
    entries = [(minute, MINUTE, "q", "t", total) for minute, total in minutes]
    now = 6000 * 60.0
    everything = [sum(total.ends) for _, total in minutes]
    for these in (entries, [(*key, total) for key, total in folded(entries).items()]):
        found = told(these, now, 1e9, step).tallies
        assert sum(sum(getattr(each, name) for name in statistics.ENDS) for each in found) == sum(everything)
        assert [each.at for each in found] == sorted({each.at for each in found})
        assert all(each.at % each.seconds == 0 for each in found)


def test_hours_stay_hours_beside_minutes() -> None:
    one = Sum(ends=[1, 0, 0, 0, 0, 0])
    found = told([(0, HOUR, "q", "t", one), (HOUR, MINUTE, "q", "t", one)], 2 * HOUR * 60.0, 1e9, 60).tallies
    assert [(each.at, each.seconds) for each in found] == [(0.0, 3600.0), (3600.0, 60.0)]


def test_only_whole_hours_are_folded_and_dropped() -> None:
    now = 1_700_000_000.0
    assert statistics.fold_before(now) % HOUR == statistics.drop_before(now) % HOUR == 0
    assert 2 * DAY <= statistics.minute_of(now) - statistics.fold_before(now) < 2 * DAY + HOUR
    assert 30 * DAY <= statistics.minute_of(now) - statistics.drop_before(now) < 30 * DAY + HOUR


# percentiles


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert percentile([0] * BUCKETS, 0.5) is None


@given(st.lists(st.floats(0, 40_000), min_size=1, max_size=60), shares)
def test_a_percentile_lies_in_the_bucket_of_the_true_one(durations: list[float], share: float) -> None:
    found = percentile(histogram(*durations), share)
    true = sorted(durations)[max(0, math.ceil(share * len(durations)) - 1)]
    assert found is not None
    low = BOUNDS[bucket(true) - 1] if bucket(true) else 0.0
    assert low <= found <= BOUNDS[bucket(true)]


@given(histograms, shares, shares)
def test_a_higher_share_is_never_a_shorter_time(counts: Sequence[int], first: float, second: float) -> None:
    low, high = (percentile(counts, share) for share in sorted((first, second)))
    assert (low is None) == (high is None) == (not any(counts))
    assert low is None or high is None or low <= high


@given(histograms, shares, seconds, seconds)
def test_what_has_lasted_longer_is_expected_to_end_later(
    counts: Sequence[int], share: float, first: float, second: float
) -> None:
    early, late = (beyond(counts, elapsed, share) for elapsed in sorted((first, second)))
    if late is not None:
        assert early is not None
        assert max(first, second) <= late
        assert early <= late * (1 + 1e-9)


@given(st.lists(histograms, max_size=4))
def test_merged_histograms_hold_what_all_hold(several: list[list[int]]) -> None:
    assert sum(merged(several)) == sum(map(sum, several))


# when a run may be done


@given(seconds, st.none() | st.floats(0, 1), histograms)
def test_an_eta_is_never_negative_and_in_order(elapsed: float, done: float | None, counts: Sequence[int]) -> None:
    found = eta(elapsed, done, counts)
    if found is not None:
        assert 0 <= found.low <= found.seconds * (1 + 1e-9)
        assert found.seconds <= found.high * (1 + 1e-9)
        assert found.basis in ("progress", "history")


@given(st.floats(2, 1e5), st.lists(st.floats(0.05, 0.999), min_size=2, max_size=2))
def test_the_further_a_run_has_come_in_the_same_time_the_less_is_left(elapsed: float, parts: list[float]) -> None:
    behind, ahead = (eta(elapsed, done, ()) for done in sorted(parts))
    assert behind is not None
    assert ahead is not None
    assert ahead.seconds <= behind.seconds
    assert ahead.high <= behind.high


def test_half_way_after_ten_seconds_ten_are_left() -> None:
    found = eta(10.0, 0.5, ())
    assert found == statistics.Eta(seconds=10.0, low=5.0, high=20.0, basis="progress")


def test_a_report_that_comes_too_early_says_nothing() -> None:
    assert eta(100.0, 0.04, ()) is None
    assert eta(1.9, 0.5, ()) is None
    assert eta(100.0, None, ()) is None


def test_a_run_that_goes_on_behind_the_end_of_its_way_is_not_about_to_end() -> None:
    assert eta(100.0, 1.0, ()) is None


def test_without_progress_earlier_runs_tell() -> None:
    found = eta(0.0, None, histogram(*[15.0] * 100))
    assert found is not None
    assert (found.basis, found.runs) == ("history", 100)
    assert 10 <= found.low <= found.seconds <= found.high <= 20


def test_progress_goes_before_history() -> None:
    found = eta(30.0, 0.75, histogram(*[1000.0] * 100))
    assert found is not None
    assert (found.basis, found.seconds) == ("progress", 10.0)


def test_a_few_runs_are_no_history() -> None:
    assert eta(0.0, None, histogram(*[15.0] * 4)) is None
    assert eta(0.0, None, histogram(*[15.0] * 5)) is not None


def test_of_a_run_that_takes_longer_than_any_before_nothing_is_said() -> None:
    assert eta(30.0, None, histogram(*[15.0] * 100)) is None


def test_quick_runs_do_not_count_for_one_that_has_lasted_longer() -> None:
    found = eta(25.0, None, histogram(*[0.1] * 90, *[40.0] * 10))
    assert found is not None
    assert 0 <= found.low <= found.high <= 25


@pytest.mark.parametrize(
    ("progress", "part"),
    [
        (None, None), (Progress(), None), (Progress(message="going"), None), (Progress(3), None),
        (Progress(3, 0), None),
        (Progress(3, 4), 0.75), (Progress(5, 4), 1.0), (Progress(-1, 4), 0.0), (Progress(1, 4, 50.0), 0.5),
        (Progress(percent=200.0), 1.0), (Progress(math.inf, 4), None), (Progress(percent=math.nan), None),
    ],
)  # fmt: skip
def test_how_far_a_run_has_come(progress: Progress | None, part: float | None) -> None:
    assert done_part(progress) == part


def test_only_a_job_that_runs_has_an_eta() -> None:
    engine, clock = _engine()
    door = Door(engine, clock, finish)
    for _ in range(6):
        claim = door.take()
        clock.advance(30)
        door.end(claim, Succeeded(b"1"))
    job_id = door.add()
    assert finish(eta_of(engine, door.job(job_id))) is None
    claim = door.again(job_id)
    clock.advance(5)
    found = finish(eta_of(engine, door.job(job_id)))
    assert found is not None
    assert (found.basis, found.runs) == ("history", 6)
    assert 15 <= found.seconds <= 45
    door.pulse(claim, progress=Progress(1, 2))
    found = finish(eta_of(engine, door.job(job_id)))
    assert found is not None
    assert (found.basis, found.seconds) == ("progress", 5.0)
    at_report = statistics.at_last_report(door.job(job_id))
    clock.advance(100)
    assert statistics.at_last_report(door.job(job_id)) == at_report == found
    door.cancel(job_id)
    assert finish(eta_of(engine, door.job(job_id))) is None
    assert statistics.at_last_report(door.job(job_id)) is None


# engines


def test_a_file_of_the_first_layout_keeps_its_jobs_and_counts_from_now_on(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "jobs.db")
    finish(engine.open())
    [[first, second]] = finish(engine.enqueue([[new_job(), new_job()]]))
    [claim] = finish(engine.turn("w", [], [Want(QUEUE, 1, (TASK,))], lease=30)).claims
    finish(engine.close())
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.db")) as line:
        line.executescript(
            "DROP TABLE jobsworth_logs; DROP TABLE jobsworth_cells; DROP TABLE jobsworth_statistics;"
            " UPDATE jobsworth_schema SET version = 1"
        )
    finish(engine.open())
    assert finish(engine.schema_version()).found == finish(engine.schema_version()).latest > 1
    assert {job.id for job in finish(engine.find(Where()))} == {first.id, second.id}
    finish(engine.turn("w", [settle(claim, Succeeded(b"1"), Retry())], [], lease=30))
    assert [each.completed for each in finish(engine.statistics(60)).tallies] == [1]
    finish(engine.close())


def test_a_schema_of_the_first_layout_keeps_its_jobs_and_counts_from_now_on(postgres: Postgres | Given) -> None:
    psycopg = pytest.importorskip("psycopg")
    from jobsworth.engines.postgres import PostgresEngine, migrate

    url = postgres.new_database()
    engine = PostgresEngine(url, where="the test's server", doorbell=False)
    finish(engine.open())
    finish(engine.enqueue([[new_job(), new_job()]]))
    [claim] = finish(engine.turn("w", [], [Want(QUEUE, 1, (TASK,))], lease=30)).claims
    finish(engine.close())
    (_, sql), *_ = migrate.scripts()
    older = sql[sql.index("CREATE FUNCTION @settle") :]
    older = older[: older.index("END $$;") + len("END $$;")].replace("CREATE", "CREATE OR REPLACE", 1)
    with psycopg.connect(url, autocommit=True) as line:
        for each in (
            older, "DROP FUNCTION @keep_lines", "DROP TABLE @logs", "DROP TABLE @cells",
            "DROP TABLE @statistics", "DROP FUNCTION @bucket",
            "UPDATE @schema_version SET version = 1",
        ):  # fmt: skip
            line.execute(named("jobsworth", each))
    finish(engine.open())
    assert finish(engine.schema_version()).found == finish(engine.schema_version()).latest > 1
    assert finish(engine.count(Where())) == 2
    finish(engine.turn("w", [settle(claim, Succeeded(b"1"), Retry())], [], lease=30))
    assert [each.completed for each in finish(engine.statistics(60)).tallies] == [1]
    finish(engine.close())


def test_what_is_completed_in_the_handlers_own_transaction_is_counted_with_it(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "jobs.db")
    finish(engine.open())
    finish(engine.enqueue([[new_job()]]))
    [claim] = finish(engine.turn("w", [], [Want(QUEUE, 1, (TASK,))], lease=30)).claims
    with pytest.raises(RuntimeError), engine.completing(lambda: settle(claim, Succeeded(b"1"), Retry())):
        raise RuntimeError("and so it is rolled back")
    assert finish(engine.statistics(60)).tallies == []
    with engine.completing(lambda: settle(claim, Succeeded(b"1"), Retry())):
        pass
    assert [each.completed for each in finish(engine.statistics(60)).tallies] == [1]
    finish(engine.close())


def test_turns_do_not_wait_for_one_another_to_count(postgres: Postgres | Given) -> None:
    psycopg = pytest.importorskip("psycopg")
    from jobsworth.engines.postgres import PostgresEngine

    url = postgres.new_database()
    engine = PostgresEngine(url, where="the test's server", doorbell=False)
    finish(engine.open())
    finish(engine.enqueue([[new_job(), new_job(), new_job()]]))
    first, second, third = finish(engine.turn("w", [], [Want(QUEUE, 3, (TASK,))], lease=30)).claims
    with psycopg.connect(url) as line:  # a turn that has not committed yet
        ended = f'[{{"place": 0, "seq": {first.lease.row}, "fence": {first.lease.fence}, "result": "1"}}]'
        line.execute("SELECT * FROM jobsworth.settle(%s, NULL, NULL)", (ended,))
        before = time.monotonic()
        finish(engine.turn("w", [settle(second, Succeeded(b"1"), Retry())], [], lease=30))
        finish(engine.upkeep([QueueStatus(queue=QUEUE)]))
        finish(engine.turn("w", [settle(third, Failed(Failure("E", "e"), final=True), Retry())], [], lease=30))
        assert time.monotonic() - before < 5
        assert sum(each.completed for each in finish(engine.statistics(60)).tallies) == 1
        line.commit()
    counted = finish(engine.statistics(60)).tallies
    assert (sum(each.completed for each in counted), sum(each.failed for each in counted)) == (2, 1)
    finish(engine.close())


def test_two_that_pack_at_the_same_moment_count_nothing_twice_and_lose_nothing(redis: Redis | Given) -> None:
    pytest.importorskip("redis")
    from jobsworth.engines.redis import RedisEngine, tallies

    clock = ManualClock()
    engine = RedisEngine(redis.url, namespace=f"pack-{new_id()}", clock=clock)
    finish(engine.open())
    door = Door(engine, clock, finish)
    for _ in range(5):
        door.end(door.take(), Succeeded(b"1"))
    clock.advance(60)
    calls = []

    def in_the_middle(script: str, *values: Any) -> Any:
        if script == "pack":
            calls.append(script)
            finish(engine.upkeep())
            clock.advance(-60)  # an ending of that minute that was late
            door.end(door.take(), Succeeded(b"1"))
            clock.advance(60)
            finish(engine.upkeep())
        return engine._run(script, *values)

    tallies.tidy(in_the_middle)
    assert calls == ["pack"]
    assert [each.completed for each in finish(engine.statistics(600)).tallies] == [6]
    finish(engine.close())


def test_a_worker_notes_once_a_minute_how_full_its_queues_stand() -> None:
    engine, clock = _engine()
    jobs = Jobsworth(engine=engine)

    @jobs.task(queue="mailers")
    def mail() -> None: ...

    finish(engine.enqueue([[new_job(queue="mailers", task="mail") for _ in range(3)]]))

    async def four_minutes() -> None:
        chores = Chores(engine, jobs.queues, lambda event: None)
        for now in (1.0, 61.0, 121.0, 181.0):
            chores.look_after(now, accepting=True)
            await chores.leave()
            clock.advance(60)

    asyncio.run(four_minutes())
    levels = [each for each in finish(engine.statistics(3600)).levels if each.queue == "mailers"]
    assert len(levels) == 3, "the first round only says when the next is"
    assert {each.waiting for each in levels} == {3.0}
    jobs.close()


# the command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    engine = SqliteEngine(tmp_path / "jobsworth.db", clock=ManualClock(time.time()))
    door = Door(engine, engine._clock, finish)  # type: ignore[arg-type]
    finish(engine.open())
    for _ in range(8):
        claim = door.take()
        door.clock.advance(3)
        door.end(claim, Succeeded(b"1"))
    door.end(door.take(queue="fax", task="ring"), Failed(Failure("E", "e"), final=True))
    door.take(id="runs")
    finish(engine.close())
    return tmp_path


def test_stats_shows_each_task_in_a_line(folder: Path) -> None:
    done = run(folder, "stats")
    assert done.code == 0
    head, first, second = (line.split() for line in done.out.splitlines())
    assert head[:4] == ["QUEUE", "TASK", "DONE", "RETRIED"]
    assert first[:7] == ["mail", "send", "8", "0", "0", "0", "0"]
    assert second[:7] == ["fax", "ring", "0", "0", "1", "0", "0"]


def test_stats_in_json_has_times_in_seconds(folder: Path) -> None:
    done = run(folder, "stats", "--json", "--queue", "mail", "--since", "2h")
    [total] = done.json
    assert (total["queue"], total["task"], total["counts"]["completed"]) == ("mail", "send", 8)
    assert 2 <= total["run"]["p50"] <= total["run"]["p95"] <= 5
    assert total["busy"] == pytest.approx(24)


def test_stats_says_when_there_are_none(folder: Path) -> None:
    done = run(folder, "stats", "--task", "nothing")
    assert (done.code, done.out) == (0, "")
    assert "no run ended within 1 h" in done.err


@pytest.mark.parametrize("since", ["0", "soon", "-5"])
def test_stats_refuses_a_time_that_is_none(folder: Path, since: str) -> None:
    assert run(folder, "stats", f"--since={since}").code == 2


def test_show_says_how_long_a_job_may_take_and_what_that_goes_by(folder: Path) -> None:
    shown = run(folder, "show", "runs")
    assert re.search(r"about .+ left \(.+ to .+\), going by 8 earlier runs", shown.out)
    eta = run(folder, "show", "runs", "--json").json["eta"]
    assert (eta["basis"], eta["runs"]) == ("history", 8)
    assert 0 <= eta["low"] <= eta["seconds"] <= eta["high"] <= 5


def _engine() -> tuple[MemoryEngine, ManualClock]:
    clock = ManualClock()
    return MemoryEngine(clock), clock
