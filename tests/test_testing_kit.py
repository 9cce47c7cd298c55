"""The testing kit: what is asserted in each mode and how a failure reads, the clock, and who runs what when."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from jobsworth import CurrentJob, Jobsworth, LeaseLost, QueueService, Retry
from jobsworth.errors import AppNotFound, BadArguments, BadOption, JobFailed, WaitTimeout
from jobsworth.testing import DrainKit, HandClock, InlineKit, Kit, drain, fake, inline
from jobsworth.testing.clock import ShownClock, seconds_of
from jobsworth.testing.which import app_of
from waiting import until

jobs = Jobsworth("sqlite:////nowhere/at/all.db")  # whoever would open this fails
done: list[Any] = []


@jobs.task(queue="mail", retry=Retry(max_attempts=3, base=60, jitter=False))
def send(to: str, pair: Any = None) -> str:
    done.append(to)
    if to == "broken":
        raise OSError("no route")
    return f"to {to}"


@jobs.task
def send_all(names: list[str]) -> None:
    for name in names:
        send.enqueue(name)


@jobs.task
async def wait_for(name: str) -> str:
    return str(await send.options(id="inner").aenqueue(name))[:0] + name


@jobs.task(isolation="process")
def apart() -> None: ...


class Letters(QueueService):
    name = "letters"
    retry = Retry(max_attempts=1)

    def handle_item(self, item: str) -> None:
        raise ValueError(item)

    def on_exhausted(self, job: Any, error: str) -> None:
        if "hook" in error:
            raise KeyError("in the hook")
        send.enqueue("the operator")


letters = jobs.add(Letters())


@pytest.fixture(autouse=True)
def nothing_done() -> Iterator[None]:
    done.clear()
    yield
    assert not jobs.away


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def draining(clock: HandClock) -> Iterator[DrainKit]:
    with drain(jobs, clock) as kit:
        yield kit


@pytest.fixture
def inlined(clock: HandClock) -> Iterator[InlineKit]:
    with inline(jobs, clock) as kit:
        yield kit


@pytest.fixture(params=[fake, drain, inline], ids=["fake", "drain", "inline"])
def kit(request: pytest.FixtureRequest, clock: HandClock) -> Iterator[Kit]:
    with request.param(jobs, clock) as kit:
        yield kit


# What is asserted.
def test_the_same_is_asserted_in_every_mode(kit: Kit) -> None:
    send.enqueue("ada", (1, 2))
    send.options(delay=timedelta(hours=3)).enqueue(to="bob")
    kit.assert_enqueued(send)
    kit.assert_enqueued(send, "ada", (1, 2), count=1)
    kit.assert_enqueued(send, "ada", [1, 2])
    kit.assert_enqueued(send, to=ANY, pair=ANY, count=2, queue="mail")
    kit.assert_enqueued(send, "bob", delay="3h")
    kit.assert_enqueued(send, "ada", ANY, delay=0)
    kit.refute_enqueued(send, "ada")
    kit.refute_enqueued(send, "bob", queue="default")
    kit.refute_enqueued(letters)
    assert [job.task for job in kit.jobs] == ["send", "send"]
    assert len(kit.enqueued(send, "bob")) == 1


@pytest.mark.parametrize(
    ("asserted", "said"),
    [
        ({"count": 2}, "send(to='ada', pair=None) was not enqueued 2 times; it was 1 times"),
        ({"count": 0}, "send(to='ada', pair=None) was not enqueued 0 times; it was 1 times"),
        ({"queue": "default"}, "      on queue 'mail', not 'default'"),
        ({"delay": 60}, "      not delayed by 1 m"),
        ({"pair": 3}, "      pair is None, not 3"),
    ],
)
def test_a_failure_tells_what_was_enqueued(asserted: dict[str, Any], said: str) -> None:
    with fake(jobs) as kit:
        send.enqueue("ada")
        letters.enqueue("x")
        with pytest.raises(AssertionError) as caught:
            kit.assert_enqueued(send, "ada", **asserted)
        assert said in str(caught.value)
        assert "of send there is 1 job:" in str(caught.value)
        assert "other tasks: letters × 1" in str(caught.value)
        with pytest.raises(AssertionError, match=r"send\(to='ada', pair=None\) was enqueued"):
            kit.refute_enqueued(send, "ada")


def test_a_call_that_cannot_be_is_a_mistake_of_the_test() -> None:
    with fake(jobs) as kit:
        with pytest.raises(BadArguments, match=r'send\(\) needs argument "to"') as caught:
            kit.refute_enqueued(send, pair=1)
        assert "queue=" not in str(caught.value.hint)
        with pytest.raises(BadArguments, match='no argument "delai"') as caught:
            kit.assert_enqueued(send, "ada", delai=3)
        assert "beside them there are queue=, delay=, count=" in str(caught.value.hint)
        with pytest.raises(BadOption, match="a task or a QueueService"):
            kit.refute_enqueued(send.fn)  # type: ignore[arg-type]


def test_a_first_delay_that_is_not_known_any_more_is_said_so(draining: DrainKit, clock: HandClock) -> None:
    send.enqueue("broken")
    draining.assert_enqueued(send, "broken", delay=0)
    draining.drain()
    with pytest.raises(AssertionError, match="put back in line since"):
        draining.assert_enqueued(send, "broken", delay=0)


# Where jobs live meanwhile.
def test_jobs_stay_elsewhere_for_a_while_only() -> None:
    mine = Jobsworth("memory://")
    task = mine.task(name="task")(lambda: None)
    at_home = task.enqueue()
    with fake(mine) as kit:
        away = task.enqueue()
        assert [job.id for job in mine.find()] == [away.id] == [job.id for job in kit.jobs]
        with pytest.raises(BadOption, match="already"), drain(mine):
            pass
        assert mine.away
    assert [job.id for job in mine.find()] == [at_home.id]


def test_what_use_says_meanwhile_counts_afterwards(tmp_path: Path) -> None:
    mine = Jobsworth("memory://")
    with fake(mine):
        mine.use(f"sqlite:///{tmp_path / 'other.db'}")
        assert mine.engine.kind == "memory"
    assert mine.engine.kind == "sqlite"


@pytest.mark.parametrize(
    ("mode", "advice"), [(fake, "nobody runs jobs"), (drain, r"says drain\(\)"), (inline, "delayed")]
)
def test_who_waits_for_a_job_that_nobody_runs_is_told(mode: Any, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kit, "patience", 0.1)
    with mode(jobs) as kit:
        handle = send.options(delay=60).enqueue("ada")
        for waits in (handle.result, lambda: asyncio.run(handle.aresult())):
            with pytest.raises(WaitTimeout, match=r"within 0\.1 s") as caught:  # and not for ever
                waits()
            assert re.search(advice, str(caught.value.hint))
        with pytest.raises(BadOption, match="in another mode of the testing kit already"), drain(jobs):
            pass
        with pytest.raises(AttributeError, match="jobs_drain and jobs_inline do" if mode is fake else "no attribute"):
            kit.drain() if mode is fake else kit.run()


def test_the_traceback_of_a_handler_is_in_the_log(draining: DrainKit, caplog: pytest.LogCaptureFixture) -> None:
    send.enqueue("broken")
    draining.drain()
    assert "in send\n    raise OSError" in caplog.text


# drain
def test_everything_that_is_due_runs_with_what_it_enqueues(draining: DrainKit) -> None:
    send_all.enqueue(["a", "b"])
    send.options(delay=1).enqueue("later")
    assert draining.drain() == 3
    assert sorted(done) == ["a", "b"]
    assert draining.drain() == 0


def test_backoff_expiry_and_delay_move_with_the_clock(draining: DrainKit, clock: HandClock) -> None:
    broken = send.enqueue("broken")
    late = send.options(expires=100, delay=200).enqueue("late")
    draining.drain()
    assert broken.state == "scheduled"
    clock.advance(60)
    draining.drain()
    clock.advance("1m")
    assert draining.drain() == 0
    clock.advance("2m")
    draining.drain()
    assert broken.state == "failed"
    assert late.state == "cancelled"
    assert done == ["broken"] * 3


def test_paused_queues_and_unknown_tasks_are_not_waited_for(draining: DrainKit) -> None:
    jobs.pause("mail")
    handle = send.enqueue("ada")
    assert draining.drain() == 0
    jobs.resume("mail")
    assert draining.drain() == 1
    assert handle.result(0) == "to ada"


def test_what_a_hook_enqueues_runs_and_what_it_raises_is_raised(draining: DrainKit) -> None:
    letters.enqueue("x")
    draining.drain()
    assert done == ["the operator"]
    letters.enqueue("hook")
    with pytest.raises(AssertionError, match="in the hook"):
        draining.drain()


def test_a_lost_job_runs_again_when_its_lease_has_run_out(draining: DrainKit, clock: HandClock) -> None:
    first, second = send.enqueue("first"), send.enqueue("second")
    draining.lose(second)
    assert draining.drain() == 1
    assert (first.state, second.state, done) == ("completed", "running", ["first"])
    clock.advance(29)
    assert draining.drain() == 0
    clock.advance(1)
    draining.drain()
    assert (second.state, second.job.crashes) == ("completed", 1)
    with pytest.raises(BadOption, match="completed"):
        draining.lose(second)


def test_a_handler_is_told_that_its_lease_is_lost(draining: DrainKit) -> None:
    heard: list[str] = []
    mine = draining

    def suspended(job: CurrentJob) -> str:
        if job.claim.crashes == 0:
            assert mine.take_over() == 1
            try:
                until(job.check_cancelled)
            except LeaseLost:
                heard.append("lost")
                raise
        return "done"

    task = jobs.task(name="suspended")(suspended)
    try:
        handle = task.enqueue()
        draining.drain()
    finally:
        del jobs.tasks["suspended"]
    assert heard == ["lost"]
    assert (handle.state, handle.job.crashes) == ("completed", 1)


def test_what_hangs_is_named(draining: DrainKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobsworth.testing.hands.GRACE", 0.0)
    go_on = threading.Event()
    task = jobs.task(name="hangs")(lambda: go_on.wait(30))
    task.enqueue()
    try:
        threading.Timer(0.3, go_on.set).start()
        with pytest.raises(AssertionError, match=r"still due after 0\.1 s"):
            draining.drain(within=0.1)
    finally:
        go_on.set()
        del jobs.tasks["hangs"]


def test_a_child_process_is_refused_with_a_reason(draining: DrainKit) -> None:
    handle = apart.options(max_attempts=1).enqueue()
    draining.drain()
    with pytest.raises(JobFailed, match="use jobs_real"):
        handle.result(0)


# inline
def test_jobs_have_run_when_enqueue_returns(inlined: InlineKit) -> None:
    assert send.enqueue("ada").result(0) == "to ada"
    assert send_all.enqueue(["b", "c"]).state == "completed"
    assert sorted(done) == ["ada", "b", "c"]
    assert send.enqueue("broken").state == "scheduled"


def test_each_runs_at_its_own_moment_while_the_clock_moves(inlined: InlineKit, clock: HandClock) -> None:
    begun = clock.now
    moments: list[float] = []
    tick = jobs.task(name="tick")(lambda: moments.append(clock.now - begun))
    try:
        tick.options(delay=10).enqueue()
        tick.options(delay=7200).enqueue()
        broken = send.enqueue("broken")
        clock.advance("3h")
    finally:
        del jobs.tasks["tick"]
    assert moments == [10, 7200]
    assert broken.state == "failed"
    assert clock.now == begun + 10_800


def test_coroutines_enqueue_side_by_side(inlined: InlineKit) -> None:
    async def main() -> list[str]:
        handles = await asyncio.gather(*(send.aenqueue(str(number)) for number in range(5)))
        first = await wait_for.aenqueue("x")
        return [handle.state for handle in [*handles, first]]

    assert asyncio.run(main()) == ["completed"] * 6
    assert sorted(done) == ["0", "1", "2", "3", "4", "x"]


def test_a_handler_cannot_drain(draining: DrainKit) -> None:
    task = jobs.task(name="drains", max_attempts=1)(lambda: draining.drain())
    try:
        handle = task.enqueue()
        draining.drain()
    finally:
        del jobs.tasks["drains"]
    with pytest.raises(JobFailed, match="cannot drain"):
        handle.result(0)


# The clock.
@pytest.mark.parametrize(
    ("span", "seconds"),
    [(5, 5), ("90s", 90), ("3h", 10_800), ("1d 12h", 129_600), ("1.5m", 90), ("250ms", 0.25), (timedelta(1), 86_400)],
)
def test_spans(span: Any, seconds: float) -> None:
    assert seconds_of(span) == seconds


@pytest.mark.parametrize("span", ["", "3", "h", "3 hours", "-3h"])
def test_what_is_no_span(span: str) -> None:
    with pytest.raises(BadOption, match="no span of time"):
        seconds_of(span)


def test_another_process_sees_the_same_moment(tmp_path: Path) -> None:
    clock = HandClock(1000.5)
    clock.show(tmp_path / "moment")
    shown = ShownClock(tmp_path / "moment")
    assert shown() == 1000.5
    clock.advance("1h")
    assert shown() == 4600.5


# Which app it is.
def test_the_app_of_a_test_is_never_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert app_of("", sys.modules[__name__]) is jobs
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "some_shop.py").write_text("from jobsworth import Jobsworth\none = Jobsworth('memory://')\n")
    other = app_of("some_shop:one", sys.modules[__name__])
    assert other is sys.modules["some_shop"].one
    module = type(sys)("two_of_them")
    module.first, module.second = jobs, other  # type: ignore[attr-defined]
    with pytest.raises(AppNotFound, match=r"there are 2 Jobsworths: two_of_them:first, two_of_them:second"):
        app_of("", module)
    module = type(sys)("tasks_of_one")
    module.send, module.letters = send, letters  # type: ignore[attr-defined]
    assert app_of("", module) is jobs
    module.too = other.task(name="too")(lambda: None)  # type: ignore[attr-defined]
    with pytest.raises(AppNotFound, match="that of tasks_of_one:too"):
        app_of("", module)
    module = type(sys)("imports_one")
    module.some_shop = sys.modules["some_shop"]  # type: ignore[attr-defined]
    assert app_of("", module) is other
    with fake(jobs) as kit, pytest.raises(BadOption, match="task 'too' belongs to another Jobsworth"):
        kit.refute_enqueued(other.tasks["too"])
    del sys.modules["some_shop"]


def test_the_plugin_loads_nothing_of_jobsworth() -> None:
    program = "import sys, jobsworth_pytest; print(*(name for name in sys.modules if name.startswith('jobsworth')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["jobsworth_pytest"]
