"""Each pattern of docs/patterns.md: its block is run as it stands there, on every engine, and does what is said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobsworth import Jobsworth
from jobsworth.job import State
from jobsworth.worker.chores import Chores
from waiting import until
from web_client import a_url

PAGE = Path(__file__).parent.parent / "docs" / "patterns.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
TEXT = PAGE.read_text(encoding="utf-8")
PREAMBLE, *SECTIONS = re.split(r"^## ", TEXT, flags=re.MULTILINE)
BLOCKS = {section.partition("\n")[0]: BLOCK.findall(section) for section in SECTIONS}
TESTED: set[str] = set()


class Run:
    """A block of the page, run behind the page's first lines. Its names are attributes."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {"__name__": "patterns"}
        exec(BLOCK.findall(PREAMBLE)[0], self._names)
        self.jobs: Jobsworth = self._names["jobs"]

    def __call__(self, title: str) -> Run:
        [block] = BLOCKS[title]
        exec(compile(block, f"patterns.md, {title}", "exec"), self._names)
        return self

    def __getattr__(self, name: str) -> Any:
        return self._names[name]


def title(of: str) -> Any:
    """Marks the test of a section."""
    TESTED.add(of)
    return pytest.mark.parametrize("section", [of])


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def page(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setenv("JOBSWORTH_URL", a_url(request, request.param, tmp_path))
    run = Run()
    yield run
    run.jobs.close()


def test_every_pattern_has_one_block_one_test_and_one_line_in_the_table() -> None:
    assert set(BLOCKS) == TESTED
    assert len(BLOCKS) == 13
    assert {len(blocks) for blocks in BLOCKS.values()} == {1}
    linked = re.findall(r"^\| \[[^]]+\]\(#([a-z-]+)\)", TEXT, re.MULTILINE)
    assert linked == [re.sub(r"[^a-z -]", "", name.lower()).replace(" ", "-") for name in BLOCKS]


@title("Fire and forget")
def test_what_is_deferred_runs_and_is_not_stored(page: Run, section: str) -> None:
    run = page(section)
    until(lambda: run.seen == ["somebody looked at page 7"])
    assert run.jobs.find() == []


@title("Attempts, backoff and what is kept")
def test_attempts_backoff_a_hundred_completed_and_all_failed(page: Run, section: str) -> None:
    run = page(section)
    jobs, policy = run.jobs, run.calls.retry
    assert [policy.delay(n, lambda: 1.0) for n in (1, 2)] == pytest.approx([0.1, 0.2])
    shaky, hopeless = run.call.enqueue("1", good_from=3), run.call.enqueue("2", good_from=9)
    run.call.enqueue("3", good_from=9)
    run.call.enqueue_many([(str(n),) for n in range(110)])
    with jobs.worker():
        assert shaky.result(timeout=30) == "called 1"
        until(lambda: jobs.totals().completed == 111, 30)
        until(lambda: jobs.totals().dead == 2, 30)
    assert shaky.job.attempt == hopeless.refresh().job.attempt == 3
    chores = Chores(jobs.engine, jobs.queues, lambda _: None)
    jobs.bridge.call(lambda _: chores.prune())
    assert jobs.queue_snapshot("calls")["counts"] == {
        **dict.fromkeys(map(str, State), 0), "completed": 100, "failed": 2
    }  # fmt: skip


@title("Progress")
def test_progress_goes_from_10_to_100(page: Run, section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobsworth import CurrentJob

    told: list[float] = []
    report = CurrentJob.report_progress

    def listen(self: CurrentJob, *args: Any, **kwargs: Any) -> None:
        told.append(kwargs["percent"])
        report(self, *args, **kwargs)

    monkeypatch.setattr(CurrentJob, "report_progress", listen)
    run = page(section)
    assert run.job.progress is None
    with run.jobs.worker():
        assert run.job.result(timeout=20) == 10
    assert told == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert run.job.progress.percent == 100
    assert run.job.status()["job"]["message"] == "page 10 of 10"


@title("Waiting for the result")
def test_results_are_waited_for_in_both_colours(page: Run, section: str) -> None:
    run = page(section)
    assert (run.total, run.again) == (3, 3)


@title("Counts per queue")
def test_a_queue_is_counted_by_state(page: Run, section: str) -> None:
    run = page(section)
    assert run.counts == {**dict.fromkeys(map(str, State), 0), "queued": 1, "scheduled": 1}
    assert run.everywhere["reports"] == {State.QUEUED: 1, State.SCHEDULED: 1}


@title("A job by its id, in any queue")
def test_a_job_is_found_by_its_id_whatever_its_queue(page: Run, section: str) -> None:
    run = page(section)
    assert (run.found.id, run.found.queue, run.found.task) == (run.known.id, "letters", "write")
    assert run.missing is True


@title("Attempts made")
def test_attempts_are_numbered_and_their_errors_kept(page: Run, section: str) -> None:
    run = page(section)
    assert run.attempts == [1, 2, 3]
    assert (run.made, run.allowed) == (3, 3)
    assert run.errors == ["not yet", "not yet"]


@title("Totals")
def test_totals_are_those_of_the_store(page: Run, section: str) -> None:
    """What they count: test_totals.py."""
    jobs = page.jobs

    @jobs.task
    def work() -> None: ...

    with jobs.worker():
        work.enqueue().wait(20)
    work.enqueue()
    found = page(section).totals
    assert (found.processed, found.failed, found.dead, found.queued) == (1, 0, 0, 1)
    assert (found.active, found.scheduled, found.retrying) == (0, 0, 0)


@title("Queue size and latency")
def test_a_queue_has_a_size_and_a_latency(page: Run, section: str) -> None:
    run = page(section)
    assert run.size == 1
    assert 0 <= run.latency < 30
    assert run.jobs.queue_snapshot("nothing-in-it")["oldest"] is None


@title("Retries exhausted")
def test_what_is_given_up_is_told_once_and_goes_to_another_queue(page: Run, section: str) -> None:
    run = page(section)
    job = run.payments.enqueue({"order": 41})
    with run.jobs.worker():
        until(lambda: run.letters and run.alerts)
    assert run.alerts == [f"{job.id}: ConnectionError: the bank does not answer"]
    [letter] = run.letters
    assert letter["job"]["id"] == job.id
    assert letter["error"]["message"] == "the bank does not answer"
    assert [each.id for each in run.jobs.dead_letters("payments").list()] == [job.id]


@title("Has it been done already?")
def test_one_wish_is_one_job_and_its_work_is_done_once(page: Run, section: str) -> None:
    run = page(section)
    assert run.second.id == run.first.id
    assert (run.first.created, run.second.created) == (True, False)
    with run.jobs.worker():
        assert run.first.result(timeout=20) == "was charged before"
    assert run.charged == {run.first.id: 995}
    assert run.first.refresh().job.attempt == 2


@title("Trying again without a job")
def test_a_plain_coroutine_function_is_tried_again(page: Run, section: str) -> None:
    """How it waits and what it gives up on: test_retrying.py."""
    run = page(section)
    assert (run.found, run.asked) == ([1.08, 0.86], 3)


@title("Active and completed")
def test_active_and_completed_are_counted_across_processes(page: Run, section: str) -> None:
    run = page(section)
    assert (run.active, run.completed) == (0, 5)
