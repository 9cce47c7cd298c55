"""jobsworth.integrations.sprag beside SPRAG's own class, in one process with gevent's hub, and with others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import sprag
from specter import bus
from sprag_scripts import ENDED, Transport, run, turning

import jobsworth
from jobsworth import GiveUp, Jobsworth, Retry, State
from jobsworth.engine import Where
from jobsworth.errors import BadOption, EngineUnavailable, NotSerializable
from jobsworth.integrations.sprag import QueueService, telling
from undertaker import dies_with_us

# specter-runtime makes every queue with gevent's JoinableQueue(maxsize=0), which gevent would rather have as None.
pytestmark = pytest.mark.filterwarnings("ignore:Queue.0. now equivalent to Queue.None.:DeprecationWarning")
HERE = Path(__file__).parent
ONCE = {"retry": Retry(max_attempts=1)}
NOW = {"retry": Retry(max_attempts=3, base=0)}
LONGEST_GAP = 0.25  # seconds; a blocked hub would not turn for one second

ENGINES = ("sqlite", "memory", "postgres", "redis")
Make = Callable[..., QueueService]


@pytest.fixture(scope="module", autouse=True)
def hub() -> Iterator[None]:
    """gevent's, which ends with these tests."""
    yield
    gevent.get_hub().destroy(destroy_loop=True)


@pytest.fixture(params=ENGINES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.db'}"
    if request.param == "memory":
        return "memory://"
    server = request.getfixturevalue(request.param)
    return server.new_database() if request.param == "postgres" else server.new_namespace()


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobsworth]:
    jobs = Jobsworth(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield jobs
    jobs.close()


@pytest.fixture
def transport() -> Iterator[Transport]:
    with Transport() as transport:
        yield transport


@pytest.fixture
def make(jobs: Jobsworth) -> Iterator[Make]:
    """A queue whose items are handled by a function of the queue and the item."""
    made: list[QueueService] = []

    def new(handle: Callable[[Any, Any], Any], start: bool = True, **options: Any) -> QueueService:
        class Made(QueueService):
            name = "made"

            def handle_item(self, item: Any) -> Any:
                return handle(self, item)

        made.append(Made(**{"jobs": jobs, **options}))
        if start:
            made[-1].start()
        return made[-1]

    yield new
    for each in made:
        each.stop()


def enqueued(queue: QueueService, item: Any = None, **options: Any) -> str:
    return str(queue.enqueue_job(item, **options)["job"]["id"])


def ended(queue: QueueService, job_id: str) -> Any:
    return turning(lambda: (job := queue.get_job(job_id)) and job["status"] in ENDED and job)


class Ticks:
    """How evenly the hub turns."""

    def __enter__(self) -> Ticks:
        self.longest = 0.0
        self.number = 0
        self._greenlet = gevent.spawn(self._run)
        gevent.sleep(0.02)
        return self

    def __exit__(self, *exc: object) -> None:
        self._greenlet.kill()

    def _run(self) -> None:
        last = time.monotonic()
        while True:
            gevent.sleep(0.005)
            now = time.monotonic()
            self.longest, self.number, last = max(self.longest, now - last), self.number + 1, now


# The framework's own class, call by call.
def test_the_same_calls_have_the_same_answers(url: str) -> None:
    jobs = Jobsworth(url)
    theirs, told_by_them = run(sprag.QueueService)
    ours, told_by_us = run(QueueService, jobs=jobs, queue_options=ONCE)
    jobs.close()
    assert [what for what, _ in ours] == [what for what, _ in theirs]
    for answer, expected in zip(ours, theirs, strict=True):
        assert answer == expected
    assert told_by_us >= told_by_them == 6


def test_everything_that_its_class_offers_takes_the_same_arguments() -> None:
    import inspect

    for name, theirs in vars(sprag.QueueService).items():
        if name.startswith("_") or not callable(theirs):
            continue
        wanted = inspect.signature(theirs).parameters.keys()
        offered = inspect.signature(getattr(QueueService, name)).parameters
        assert wanted <= offered.keys() or any(each.kind is each.VAR_KEYWORD for each in offered.values()), name


def test_options_are_class_attributes_or_arguments(jobs: Jobsworth) -> None:
    class Declared(QueueService):
        name = "declared"
        worker_count = 4
        maxsize = 7
        job_history_limit = 5
        initial_state = {"seen": 0}
        queue_options = {"timeout": 60}

    declared = Declared(jobs=jobs)
    given = QueueService("given", worker_count=4, maxsize=7, job_history_limit=5, initial_state={"seen": 0}, jobs=jobs)
    for queue in (declared, given):
        stored = jobs.find_queue(queue.name)
        assert (queue.worker_count, queue.job_history_limit, queue.state["seen"]) == (4, 5, 0)
        assert (stored.worker_count, stored.max_size, stored.keep.count) == (4, 7, 5)  # type: ignore[union-attr]
    assert jobs.find_queue("declared").timeout == 60
    assert QueueService("plain", jobs=jobs).worker_count == sprag.QueueService("plain").worker_count == 1
    assert QueueService("bounded_by_nothing", maxsize=0, jobs=jobs).enqueue({}) is True


def test_mistakes_are_named(jobs: Jobsworth, make: Make) -> None:
    class Nameless(QueueService):
        pass

    class Coroutine(QueueService):
        name = "coroutine"

        async def handle_item(self, item: Any) -> Any: ...

    with pytest.raises(BadOption, match=r"E105.*Nameless has no name"):
        Nameless(jobs=jobs)
    with pytest.raises(BadOption, match="write `def`"):
        Coroutine(jobs=jobs)
    with pytest.raises(NotSerializable, match="E401"):
        make(lambda *_: None, start=False).enqueue_job({"file": object()})


def test_without_sprag_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['sprag'] = None; import jobsworth.integrations.sprag"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "E115" in done.stderr
    assert "pip install 'jobsworth[sprag]'" in done.stderr


# What is more than the framework's.
def test_a_job_is_known_to_whoever_opens_the_same_store(jobs: Jobsworth, make: Make) -> None:
    job_id = enqueued(make(lambda *_: None, start=False), {"n": 1}, session_id="ada", meta={"k": 1})
    again = Jobsworth(jobs.url)
    queue = make(lambda _, item: item["n"] + 1, jobs=again)
    assert queue.latest_job(session_id="ada")["id"] == job_id
    assert queue.latest_job(session_id="bob") is None
    done = ended(queue, job_id)
    assert (done["status"], done["result"], done["meta"]) == ("completed", 2, {"k": 1})
    queue.stop()
    again.close()


def test_a_failed_job_is_tried_again_and_then_kept(jobs: Jobsworth, make: Make, transport: Transport) -> None:
    calls: list[int] = []
    told: list[tuple[str, str]] = []

    def handle(queue: Any, item: Any) -> Any:
        calls.append(item)
        raise OSError("not now")

    queue = make(handle, start=False, queue_options=NOW)
    queue.subscribe(lambda state, _: told.extend((job["status"], job["error"]) for job in state["jobs"].values()))
    queue.start()
    job = ended(queue, enqueued(queue, 1))
    assert (job["status"], job["error"], job["message"]) == ("failed", "OSError: not now", "OSError: not now")
    assert calls == [1, 1, 1]
    assert [letter.id for letter in jobs.dead_letters("made").list()] == [job["id"]]


def test_a_handler_may_say_what_jobsworth_understands(make: Make) -> None:
    def handle(queue: Any, item: Any) -> Any:
        if item == "cancel":
            queue.cancel_job(message="Enough.")
        else:
            raise GiveUp("no picture")

    queue = make(handle, queue_options=NOW)
    given_up = ended(queue, enqueued(queue, "give up"))
    assert (given_up["status"], given_up["error"], given_up["message"]) == ("failed", "no picture", "no picture")
    cancelled = ended(queue, enqueued(queue, "cancel"))
    assert (cancelled["status"], cancelled["message"]) == ("cancelled", "Enough.")


def test_an_id_names_one_job_until_it_has_ended(jobs: Jobsworth, make: Make) -> None:
    queue = make(lambda _, item: item, start=False)
    other = QueueService("other", jobs=jobs)
    first = queue.enqueue_job(1, job_id="nightly", label="first")
    assert queue.enqueue_job(2, job_id="nightly", label="second")["job"]["label"] == "first"
    assert first["accepted"] is True
    assert queue.pending_count() == 1
    with pytest.raises(BadOption, match="'nightly' is taken"):
        other.enqueue_job(3, job_id="nightly")
    queue.start()
    assert ended(queue, "nightly")["result"] == 1
    assert queue.enqueue_job(4, job_id="nightly", label="third")["job"]["label"] == "third"
    assert turning(lambda: queue.get_job("nightly")["result"]) == 4


def test_only_the_handler_says_how_a_job_goes(make: Make) -> None:
    queue = make(lambda *_: None, start=False)
    job_id = enqueued(queue)
    for say in (queue.report_progress, queue.complete_job):
        with pytest.raises(RuntimeError, match=r"E306.*not run by this process"):
            say(job_id=job_id)
    assert queue.cancel_requested(job_id) is False
    assert queue.cancel_job(job_id=job_id)["status"] == "cancelled"
    assert queue.cancel_requested(job_id) is True
    with pytest.raises(jobsworth.Cancelled):
        queue.check_cancelled(job_id=job_id)


def test_a_service_that_is_made_anew_takes_over(make: Make) -> None:
    old = make(lambda *_: "old")
    new = make(lambda *_: "new", start=False)
    assert ended(old, enqueued(old))["result"] == "old"
    old.stop()
    new.start()
    assert ended(new, enqueued(new))["result"] == "new"
    new.stop()
    new.start()
    assert ended(new, enqueued(new))["result"] == "new"


def test_a_service_that_stops_as_soon_as_it_starts_leaves_nothing(make: Make) -> None:
    queue = make(lambda *_: None, start=False)
    threads = threading.active_count()
    for _ in range(20):
        queue.start().stop()
    assert queue.jobsworth.workers() == []
    assert threading.active_count() <= threads
    queue.start()
    assert ended(queue, enqueued(queue))["status"] == "completed"


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_the_inner_worker_can_be_left_out(how: str, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "variable":
        monkeypatch.setenv("JOBSWORTH_INNER_WORKER", "off")
    queue = make(lambda *_: "done", worker=False if how == "argument" else None)
    job_id = enqueued(queue)
    assert not queue.jobsworth.workers()
    with queue.jobsworth.worker():
        assert ended(queue, job_id)["result"] == "done"


def test_what_runs_when_the_server_stops_goes_back(make: Make) -> None:
    running = threading.Event()

    def handle(queue: Any, item: Any) -> Any:
        running.set()
        while True:
            queue.check_cancelled()
            time.sleep(0.01)

    queue = make(handle, worker={"grace": 0})
    job_id = enqueued(queue)
    turning(running.is_set)
    queue.stop()
    assert queue.get_job(job_id)["status"] == "queued"
    assert queue.jobsworth.workers() == []


# Telling browsers.
def test_browsers_are_told_of_every_change_and_only_those_that_it_concerns(make: Make, transport: Transport) -> None:
    go_on = threading.Event()

    def handle(queue: Any, item: Any) -> Any:
        queue.report_progress(current=1, total=2, message="half")
        go_on.wait(20)
        queue.check_cancelled()

    queue = make(handle)
    told: list[tuple[str, str]] = []
    queue.subscribe(lambda state, _: told.extend((job["id"], job["status"]) for job in state["jobs"].values()))
    whose = {"route": "/r", "session_id": "ada", "client_id": "tab", "topic": "pictures"}
    done, stopped = enqueued(queue, **whose), enqueued(queue, session_id="bob")
    turning(lambda: queue.get_job(done)["message"] == "half")
    queue.request_cancel(stopped)
    go_on.set()
    ended(queue, done)
    ended(queue, stopped)
    turning(lambda: {(done, "completed"), (stopped, "cancelled")} <= set(told))
    assert {status for job_id, status in told if job_id == done} >= {"queued", "running", "completed"}
    assert {status for job_id, status in told if job_id == stopped} >= {"queued", "cancelling", "cancelled"}
    assert {event for event, _, _ in transport.sent} == {"sprag:queue.job.changed"}
    for _, data, target in transport.sent:
        nobody = dict.fromkeys(("target", *whose))
        assert target == nobody | (whose if data["job_id"] == done else {"session_id": "bob"})


def test_a_job_that_ends_before_it_is_known_to_be_stored_is_told_of_from_its_beginning(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make(lambda *_: None)
    store, told = queue._store, []

    def slow(payload: Any, job_id: str, *more: Any) -> Any:
        stored = store(payload, job_id, *more)
        queue.jobsworth.handle(job_id).wait(10)
        return stored

    monkeypatch.setattr(queue, "_store", slow)
    queue.subscribe(lambda state, _: told.extend(job["status"] for job in state["jobs"].values()))
    enqueued(queue)
    turning(lambda: "completed" in told)
    assert list(dict.fromkeys(told)) == ["queued", "running", "completed"]


def test_a_sockets_number_means_nothing_in_another_process(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = make(lambda *_: None, start=False)
    job_id = enqueued(queue, client_id="sprag-socket-1", session_id="ada")
    assert queue.get_job(job_id)["target"]["client_id"] == "sprag-socket-1"
    monkeypatch.setattr("jobsworth.integrations.sprag.shown.PROCESS", "another")
    target = queue.get_job(job_id)["target"]
    assert target["client_id"] != "sprag-socket-1"
    assert target["session_id"] == "ada"


def test_a_page_that_learns_the_id_late_is_told_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    queue = make(lambda *_: None)
    monkeypatch.setattr(queue, "emit_job_signal", lambda job_id: told.append(queue.state["jobs"][job_id]["status"]))
    enqueued(queue)
    turning(lambda: told.count("completed") == 2, within=3)


def test_pages_whose_sockets_were_not_back_are_told_again_what_has_ended(
    make: Make, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "RECONNECTED", 0.5)
    before = make(lambda *_: None)
    job_id = enqueued(before)
    ended(before, job_id)
    before.stop()
    transport.sent.clear()
    make(lambda *_: None)
    turning(lambda: len(transport.sent) >= 2)
    assert {data["job_id"] for _, data, _ in transport.sent} == {job_id}


def test_following_goes_on_after_an_outage(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    queue = make(lambda *_: None, worker=False)
    find, away = queue.jobsworth.engine.find, threading.Event()

    async def missing(where: Any) -> Any:
        if away.is_set():
            raise EngineUnavailable("not there")
        return await find(where)

    monkeypatch.setattr(queue.jobsworth.engine, "find", missing)
    job_id = enqueued(queue)
    away.set()
    with pytest.raises(EngineUnavailable):
        queue.get_job(job_id)
    with queue.jobsworth.worker():
        queue.jobsworth.bridge.wait(counted(1), 10)
        turning(lambda: "cannot be followed" in caplog.text)
        away.clear()
        turning(lambda: queue.state["jobs"][job_id]["status"] == "completed")


def counted(number: int) -> Callable[[Any], Any]:
    async def look(engine: Any) -> Any:
        return await engine.count(Where(states=(State.COMPLETED,))) == number or None

    return look


def test_what_handlers_say_is_said_in_the_hubs_thread(make: Make, transport: Transport) -> None:
    here, seen = threading.get_ident(), []
    heard = gevent.queue.Queue()

    def handle(queue: Any, item: Any) -> Any:
        queue.set_state({"mine": 1})
        bus.emit("ours", "from a handler")
        seen.append(("handler", threading.get_ident()))
        return queue.emit_socket("mine", {"job_id": 1})

    queue = make(handle)
    queue.subscribe(lambda *_: seen.append(("subscriber", threading.get_ident())))
    stop_listening = bus.on("ours", lambda data: (heard.put(data), seen.append(("listener", threading.get_ident()))))
    listener = gevent.spawn(heard.get)
    assert ended(queue, enqueued(queue))["result"] is True
    assert listener.get(timeout=10) == "from a handler"
    stop_listening()
    assert ("mine", {"job_id": 1}) in [(event, data) for event, data, _ in transport.sent]
    assert {who for who, _ in seen} == {"handler", "subscriber", "listener"}
    assert all((thread == here) is (who != "handler") for who, thread in seen)


# The hub goes on.
def test_the_hub_turns_while_the_engine_takes_its_time(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = make(lambda *_: None)
    find, enqueue = queue.jobsworth.engine.find, queue.jobsworth.engine.enqueue

    async def slow_find(where: Any) -> Any:
        time.sleep(1)  # noqa: ASYNC251 (an engine that blocks)
        return await find(where)

    async def slow_enqueue(wishes: Any) -> Any:
        time.sleep(1)  # noqa: ASYNC251 (an engine that blocks)
        return await enqueue(wishes)

    monkeypatch.setattr(queue.jobsworth.engine, "find", slow_find)
    monkeypatch.setattr(queue.jobsworth.engine, "enqueue", slow_enqueue)
    with Ticks() as ticks:
        began = time.monotonic()
        queue.get_job("none")
        queue.enqueue({})
        assert time.monotonic() - began >= 2
    assert ticks.longest < LONGEST_GAP
    assert ticks.number > 50


def test_the_hub_turns_while_handlers_compute_and_block(make: Make) -> None:
    def handle(queue: Any, item: Any) -> Any:
        until = time.monotonic() + 1
        while item == "compute" and time.monotonic() < until:
            sum(range(1000))
        time.sleep(max(0.0, until - time.monotonic()))

    queue = make(handle, worker_count=2)
    turning(lambda: queue.jobsworth.workers())
    with Ticks() as ticks:
        job_ids = [enqueued(queue, what) for what in ("compute", "block")]
        for job_id in job_ids:
            assert ended(queue, job_id)["status"] == "completed"
    assert ticks.longest < LONGEST_GAP
    assert ticks.number > 20


# Other processes.
class Beside:
    """`jobsworth worker` for sprag_app.py, as a process."""

    def __init__(self, folder: Path, url: str, spec: str = "sprag_app:app", **more: str) -> None:
        self.environment = {
            **os.environ, "JOBSWORTH_URL": url, "GO": str(folder / "go"), "JOBSWORTH_INNER_WORKER": "off",
            "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)]), **more,
        }  # fmt: skip
        command = [sys.executable, "-m", "jobsworth", "worker", spec, "--quiet"]
        self.process = subprocess.Popen(command, env=self.environment, cwd=folder)
        dies_with_us(self.process.pid)

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.terminate()
        assert self.process.wait(20) == 0


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch, jobs: Jobsworth) -> Callable[[Jobsworth], QueueService]:
    """The queue of sprag_app.py as another process has it: without a worker."""
    return lambda jobs: QueueService("pictures", jobs=jobs, worker=False)


@pytest.mark.parametrize("url", ["sqlite", "postgres", "redis"], indirect=True)
def test_browsers_are_told_of_jobs_that_run_in_another_process(
    url: str, tmp_path: Path, transport: Transport, pictures: Callable[[Jobsworth], QueueService]
) -> None:
    jobs = Jobsworth(url)
    queue = pictures(jobs).start()
    told: list[tuple[str, str]] = []
    queue.subscribe(lambda state, _: told.extend((job["status"], job["message"]) for job in state["jobs"].values()))
    job_id = enqueued(queue, {"n": 1}, session_id="ada", label="A")
    with Beside(tmp_path, url):
        turning(lambda: ("running", "Begun.") in told)
        (tmp_path / "go").touch()
        turning(lambda: ("completed", "Completed A.") in told)
        job = queue.get_job(job_id)
        assert job["result"]["pid"] != os.getpid()
        assert job["result"]["item"] == {"n": 1}
        (tmp_path / "go").unlink()
        other = enqueued(queue, {}, session_id="ada")
        turning(
            lambda: queue.get_job(other)["message"] == "Begun."
        )  # a run may be stopped before its handler is called
        assert queue.request_cancel(other)["job"]["status"] == "cancelling"
        turning(lambda: ("cancelled", "Job cancelled.") in told)
    assert {target["session_id"] for _, _, target in transport.sent} == {"ada"}
    queue.stop()
    jobs.close()


def test_where_gevent_has_patched_everything_jobs_run_beside(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    with Beside(tmp_path, url, PATCHED="1") as worker:
        program = [sys.executable, str(HERE / "sprag_patched.py")]
        done = subprocess.run(
            program, env=worker.environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    saw = json.loads(done.stdout)
    assert saw["job"]["status"] == "completed"
    assert saw["job"]["result"]["pid"] == worker.process.pid
    assert saw["job"]["result"]["thread"].startswith("jobsworth-slot")
    assert saw["told"] >= 3
    assert saw["longest"] < LONGEST_GAP
    assert saw["ticks"] > 50


def test_a_patched_program_without_a_worker_says_so(tmp_path: Path) -> None:
    program = "import sprag_app, gevent; sprag_app.pictures.start(); gevent.sleep(0.1); sprag_app.pictures.stop()"
    environment = {**os.environ, "PATCHED": "1", "JOBSWORTH_URL": "memory://", "PYTHONPATH": os.pathsep.join(
        [str(HERE), *filter(None, sys.path)])}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "gevent has patched threading" in done.stderr
    assert "jobsworth worker" in done.stderr
