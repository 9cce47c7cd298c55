"""A worker of a Celery app beside a worker of Celery 5.7: what inspect() answers, the signals it sends, its limits."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery_children as children
import pytest
from celery_recorded import INSPECTED, KEYS, SIGNALS

from commandline import running
from jobsworth.codec import decode
from jobsworth.integrations.celery import Celery, DiffersFromCelery, NotSupported, Task, signals
from jobsworth.integrations.celery.exceptions import TaskRevokedError
from jobsworth.job import State
from waiting import until

# What of Celery's answers is not there: nobody here knows it.
UNKNOWN_HERE = {
    "stats.broker.connect_timeout", "stats.broker.failover_strategy", "stats.pool.writes",
    *(f"stats.rusage.{name}" for name in INSPECTED["stats"]["rusage"]),
}  # fmt: skip
NEVER_SENT = set(signals.UNSENT)


def misfits(value: Any, shape: Any, at: str) -> list[str]:
    """Where a value has not the recorded shape."""
    if isinstance(shape, dict):
        wanted = set(value) if KEYS in shape else set(shape)
        found = [f"{at}.{key}: {way}" for key in wanted ^ set(value) for way in ["missing" if key in wanted else "new"]]
        for key in wanted & set(value):
            found += misfits(value[key], shape[KEYS] if KEYS in shape else shape[key], f"{at}.{key}")
        return found
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{at}: no list"]
        each = shape if len(shape) > 1 else shape * len(value)
        return [fault for item, wanted in zip(value, each, strict=True) for fault in misfits(item, wanted, f"{at}[]")]
    kinds = shape if isinstance(shape, set) else {shape}
    fits = type(value) in kinds or (value is None and None in kinds) or (type(value) is int and kinds == {float})
    return [] if fits else [f"{at}: {value!r} is no {shape}"]


@pytest.fixture
def plain() -> Iterator[Celery]:
    app = Celery("tasks", broker="memory://")
    yield app
    app.close()


@pytest.fixture
def heard(request: pytest.FixtureRequest) -> Iterator[list[tuple[str, Any, dict[str, Any]]]]:
    """Every signal that is ever sent here, as (name, sender, keywords), in order."""
    found: list[tuple[str, Any, dict[str, Any]]] = []

    def hears(name: str) -> Any:
        return lambda signal, sender, **named: found.append((name, sender, named))

    hooks = {name: hears(name) for name in SIGNALS if name not in NEVER_SENT}
    for name, hook in hooks.items():
        getattr(signals, name).connect(hook)
    yield found
    for name, hook in hooks.items():
        getattr(signals, name).disconnect(hook)


def test_inspect_answers_in_celerys_shapes(plain: Celery) -> None:
    go, begun = threading.Event(), threading.Event()

    @plain.task(rate_limit="100/s")
    def runs(n: int, *, by: str = "x") -> None:
        begun.set()
        assert go.wait(20)

    @plain.task
    def quick() -> None: ...

    with plain.jobs.worker(name="w") as worker:
        quick.delay().get(timeout=10)
        active = runs.delay(1, by="y")
        waiting = runs.apply_async((2,), countdown=1000, priority=3)
        gone, late = runs.apply_async((3,), countdown=1000), runs.apply_async((4,), expires=0)
        gone.revoke()
        until(lambda: late.status == "REVOKED")
        assert begun.wait(10)
        inspect, name = plain.control.inspect(), f"celery@{worker.id}"
        answers = {question: getattr(inspect, question)() for question in INSPECTED if question != "query_task"}
        answers["query_task"] = inspect.query_task(active.id, [waiting.id], "nobody")
        assert {question: list(answer) for question, answer in answers.items()} == {each: [name] for each in INSPECTED}
        answered = {question: answer[name] for question, answer in answers.items()}
        go.set()
    faults = [fault for each, shape in INSPECTED.items() for fault in misfits(answered[each], shape, each)]
    assert [fault for fault in faults if fault.removesuffix(": missing") not in UNKNOWN_HERE] == []
    ours = {each for each in answered["registered"] if each.startswith(__name__)}  # shared tasks are there, too
    assert ours == {quick.name, f"{runs.name} [rate_limit=100/s]"}
    (running,) = answered["active"]
    assert (running["id"], running["args"], running["kwargs"]) == (active.id, [1], {"by": "y"})
    assert [each["request"]["id"] for each in answered["scheduled"]] == [waiting.id]
    assert {job: state for job, (state, _) in answered["query_task"].items()} == {
        active.id: "active", waiting.id: "scheduled",
    }  # fmt: skip
    assert (answered["revoked"], answered["reserved"]) == ([gone.id], [])
    assert answered["stats"]["total"] == {quick.name: 1}
    assert answered["stats"]["pid"] == os.getpid()
    assert inspect.registered() is None


def test_what_only_workers_could_be_told_says_what_to_do_instead(plain: Celery) -> None:
    for ask in (
        lambda: plain.control.shutdown(),
        lambda: plain.control.rate_limit("t", "1/m"),
        lambda: plain.control.time_limit("t", soft=1),
        lambda: plain.control.add_consumer("q"),
        lambda: plain.control.inspect().conf(),
        lambda: plain.control.inspect().report(),
        lambda: plain.control.inspect(callback=print),
        lambda: plain.control.revoke("x", signal="SIGUSR1"),
    ):
        with pytest.raises(NotSupported) as caught:
            ask()
        assert caught.value.hint
    with pytest.raises(AttributeError):
        plain.control.shutdwn()


def test_control_revokes_and_purges(plain: Celery) -> None:
    @plain.task
    def waits() -> None: ...

    first, second, third = (waits.delay() for _ in range(3))
    assert plain.control.revoke([first.id], reply=True) == []  # nobody is there to answer, and it holds
    with pytest.warns(DiffersFromCelery, match="for every worker"):
        plain.control.terminate(second.id, destination=["celery@a"])
    assert [each.status for each in (first, second, third)] == ["REVOKED", "REVOKED", "PENDING"]
    assert plain.control.purge() == 1
    with plain.jobs.worker() as worker:
        said = {"ok": "tasks {'x'} flagged as revoked"}
        assert plain.control.revoke("x", reply=True) == [{f"celery@{worker.id}": said}]
        assert plain.control.ping() == [{f"celery@{worker.id}": {"ok": "pong"}}]
        assert plain.control.ping(destination=["nobody"]) == []


def test_every_signal_of_celery_can_be_named() -> None:
    for name in SIGNALS:
        assert getattr(signals, name).name == name
    assert set(SIGNALS) >= NEVER_SENT
    with pytest.raises(AttributeError):
        signals.task_done  # noqa: B018


def test_signals_bring_celerys_keywords(plain: Celery, heard: list[tuple[str, Any, dict[str, Any]]]) -> None:
    @plain.task(bind=True)
    def works(self: Task, how: str) -> str:
        if how == "again" and not self.request.retries:
            raise self.retry(countdown=0, exc=ValueError("no"))
        if how == "fails":
            raise KeyError("x")
        return how

    revoked = works.apply_async(("never",), countdown=1000)
    revoked.revoke()
    late = works.apply_async(("late",), expires=0)
    with plain.jobs.worker() as worker:
        for how in ("fine", "again", "fails"):
            works.delay(how).get(timeout=10, propagate=False)
        until(lambda: [named["expired"] for name, _, named in heard if name == "task_revoked"] == [False, True])
    sent = {name: set(named) for name, _, named in heard}
    assert sent == {name: set(keywords or ()) for name, keywords in SIGNALS.items() if name in sent}
    left_out = {"after_setup_logger", "after_setup_task_logger"}  # as in Celery, when `setup_logging` is heard
    assert set(SIGNALS) - set(sent) - NEVER_SENT == left_out, "a signal that can be connected to was not sent"
    of_worker = [name for name, _, _ in heard if name.startswith(("worker", "celeryd", "setup", "after_setup"))]
    assert of_worker == [
        "celeryd_init", "worker_init", "setup_logging", "celeryd_after_setup", "worker_process_init", "worker_ready",
        "worker_shutting_down", "worker_shutdown",
    ]  # fmt: skip
    told = {(name, named.get("state")): named for name, _, named in heard}
    assert told["task_postrun", "SUCCESS"]["args"] == ["again"]
    assert 0 <= told["task_success", None]["runtime"] < 10
    senders = {name: sender for name, sender, _ in heard}
    assert senders["worker_ready"].app is plain
    assert senders["worker_ready"].hostname == senders["celeryd_init"] == f"celery@{worker.id}"
    assert (senders["task_success"], senders["before_task_publish"]) == (works, works.name)
    requests = [named["request"] for name, _, named in heard if name == "task_revoked"]
    assert [(each.id, each.args) for each in requests] == [(revoked.id, ["never"]), (late.id, ["late"])]


def test_logging_is_the_receivers_business_if_there_is_one(
    plain: Celery, heard: list[tuple[str, Any, dict[str, Any]]]
) -> None:
    connected = signals.setup_logging._receivers.copy()
    signals.setup_logging._receivers.clear()
    try:
        plain.jobs.hearing.set_up_logging()
    finally:
        signals.setup_logging._receivers.update(connected)
    assert [(name, named["logger"]) for name, _, named in heard] == [
        ("after_setup_logger", logging.getLogger()), ("after_setup_task_logger", logging.getLogger("celery.task")),
    ]  # fmt: skip
    assert all({"loglevel", "logfile", "format", "colorize", "logger"} == set(named) for _, _, named in heard)
    plain.jobs.hearing.set_up_logging()
    assert len(heard) == 2, "once in each process"


def test_headers_that_a_receiver_adds_travel(plain: Celery) -> None:
    @plain.task(bind=True)
    def seen(self: Task) -> Any:
        return self.request.headers

    def adds(headers: dict[str, Any], **_named: Any) -> None:
        headers["trace"] = "t1"

    def meddles(headers: dict[str, Any], **_named: Any) -> None:
        headers["id"] = "mine"

    signals.before_task_publish.connect(adds, sender=seen.name)
    with plain.jobs.worker():
        assert seen.apply_async(headers={"own": 1}).get(timeout=10) == {"own": 1, "trace": "t1"}
    signals.before_task_publish.connect(meddles)
    with pytest.warns(DiffersFromCelery, match="changed id"):
        seen.delay()
    signals.before_task_publish.disconnect(adds, sender=seen.name)
    signals.before_task_publish.disconnect(meddles)


PROGRAM = """
import os, sys
from jobsworth.integrations.celery import Celery, signals

app = Celery("prog", broker="sqlite:///jobs.db")
told = []

@signals.setup_logging.connect
def logs(**named):
    print("logging is mine", file=sys.stderr)

@signals.worker_ready.connect
def ready(sender, **named):
    told.append(sender.hostname)
    sender.app.send_task("prog.first", queue="sound")

@app.task(name="prog.first")
def first():
    return told

@app.task(name="prog.pid")
def pid():
    return os.getpid()
"""


def test_the_command_runs_a_celery_app_and_serves_queues_that_only_it_names(tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(PROGRAM)
    app = Celery("other", broker=f"sqlite:///{tmp_path / 'jobs.db'}")
    app.task(name="prog.pid")(lambda: None)
    with running(tmp_path, "worker", "prog:app", "--queues", "video:2,sound") as worker:
        sent = app.send_task("prog.pid", queue="video")
        assert sent.get(timeout=60) == worker.process.pid
        until(lambda: "logging is mine" in worker.err)
        first = until(lambda: app.jobs.find(task="prog.first", state="completed"), 60)
        ((name, slots),) = (app.control.inspect().stats() or {}).items()
        assert decode(first[0].result or b"") == [name]
        assert slots["pool"]["max-concurrency"] == 2 + app.jobs.queues["celery"].worker_count
    app.close()


def test_child_processes_are_set_up_held_to_one_rate_limited_and_terminated(
    tmp_path: Path, heard: list[tuple[str, Any, dict[str, Any]]]
) -> None:
    app = children.app
    with app.jobs.worker({"celery": 3}):
        rare = [children.rare.delay() for _ in range(3)]
        (ran,) = until(lambda: [each for each in rare if each.successful()], 60)
        late = until(lambda: len(found := app.jobs.find(state="scheduled")) == 2 and found, 60)
        first, second = sorted(job.run_at or 0 for job in late)
        assert 3500 < second - first < 3700, "each child process has a rate of its own"
        assert all(job.errors == 0 and job.state is State.SCHEDULED for job in late)
        pid, set_up = ran.result
        assert set_up == [pid] != [os.getpid()], "a child process was not set up before its first task"
        slow = children.tidies.delay(str(tmp_path / "done"))
        assert slow.get(timeout=60) == "done"
        assert (tmp_path / "done").exists(), "the soft limit interrupted a hook"
        long = children.long.delay()
        until(lambda: app.jobs.find(ids=[long.id])[0].state is State.RUNNING, 60)
        app.control.revoke(long.id, terminate=True)
        with pytest.raises(TaskRevokedError):
            long.get(timeout=60)
        (revoked,) = until(lambda: [each for each in heard if each[0] == "task_revoked"])
    assert (revoked[0], revoked[2]["request"].id, revoked[2]["terminated"], revoked[2]["signum"]) == (
        "task_revoked", long.id, True, 9,
    )  # fmt: skip
    app.close()
