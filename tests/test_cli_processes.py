"""Worker processes as the command line keeps them: stopped, killed, restarted, reloaded; nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commandline import APP, Running, on_terminal, run, run_here, running
from jobsworth import Jobsworth
from jobsworth.worker.supervisor import how_it_ended
from waiting import until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def children(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = (line.split() for line in done.stdout.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


def alive(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.strip().startswith("Z")


def started(command: Running, times: int = 1) -> None:
    until(lambda: command.err.count(" started: ") >= times, within=30, what="workers that have started")


def state_of(folder: Path, job_id: str) -> str:
    store = Jobsworth(f"sqlite:///{folder / 'jobsworth.db'}")
    try:
        return store.handle(job_id).state.value
    finally:
        store.close()


def enqueue(folder: Path, *words: str) -> str:
    done = run_here(folder, "enqueue", *words)
    assert done.code == 0, done.err
    return done.out.strip()


def test_sigterm_lets_a_running_job_finish(folder: Path) -> None:
    with running(folder, "worker") as worker:
        started(worker)
        job_id = enqueue(folder, "slow", "1.0")
        until(lambda: state_of(folder, job_id) == "running")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ends() == 0
    assert "finishing 1 job (30 s left" in worker.err
    assert state_of(folder, job_id) == "completed"


def test_after_the_grace_a_job_goes_back_to_its_queue_even_if_its_thread_does_not_listen(folder: Path) -> None:
    with running(folder, "worker", "--grace", "0.2") as worker:
        started(worker)
        job_id = enqueue(folder, "stuck")
        until(lambda: state_of(folder, job_id) == "running")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ends() == 0
    assert state_of(folder, job_id) == "queued"


def test_a_second_signal_hands_jobs_back_at_once(folder: Path) -> None:
    with running(folder, "worker", "--grace", "600") as worker:
        started(worker)
        job_id = enqueue(folder, "slow", "60")
        until(lambda: state_of(folder, job_id) == "running")
        worker.process.send_signal(signal.SIGINT)
        until(lambda: "finishing 1 job" in worker.err)
        worker.process.send_signal(signal.SIGINT)
        assert worker.ends() == 0
    assert state_of(folder, job_id) == "queued"


def test_one_process_is_one_process(folder: Path) -> None:
    with running(folder, "worker") as worker:
        started(worker)
        assert children(worker.pid) == []


def test_logs_are_json_lines_when_asked_for(folder: Path) -> None:
    with running(folder, "worker", "--log-format", "json", "--verbose") as worker:
        started(worker)
        job_id = enqueue(folder, "boom", "x")
        until(lambda: "given up" in worker.err)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ends() == 0
    lines = [json.loads(line) for line in worker.err.splitlines() if line.startswith("{")]
    assert any(line["level"] == "error" and job_id in line["message"] for line in lines)
    assert all(line["time"].endswith("Z") for line in lines)


def test_a_killed_worker_is_replaced_and_the_signal_is_told(folder: Path) -> None:
    with running(folder, "worker", "--processes", "2", "--lease", "5") as supervisor:
        started(supervisor, 2)
        first = children(supervisor.pid)
        assert len(first) == 2
        os.kill(first[0], signal.SIGKILL)
        until(lambda: "was killed by SIGKILL (likely out of memory)" in supervisor.err)
        assert f"pid {first[0]} was killed by SIGKILL" in supervisor.err
        started(supervisor, 3)
        assert len(children(supervisor.pid)) == 2
        supervisor.process.send_signal(signal.SIGTERM)
        assert supervisor.ends() == 0
        assert [pid for pid in first if alive(pid)] == []


def test_ctrl_c_on_a_terminal_reaches_each_worker_once(folder: Path) -> None:
    job_id = enqueue(folder, "slow", "1.0")
    code, screen = on_terminal(folder, "worker", "--processes", "2", answers=[("slow begins", "\x03")])
    assert code == 0
    assert "Traceback" not in screen
    assert state_of(folder, job_id) == "completed", "a second signal would have handed it back"


def test_no_worker_outlives_a_supervisor_that_is_killed(folder: Path) -> None:
    with running(folder, "worker", "--processes", "2", "--grace", "0.2") as supervisor:
        started(supervisor, 2)
        workers = children(supervisor.pid)
        job_id = enqueue(folder, "slow", "60")
        until(lambda: state_of(folder, job_id) == "running")
        supervisor.process.kill()
        until(lambda: not any(map(alive, workers)), what="workers that notice")
    assert state_of(folder, job_id) == "queued"


def test_a_supervisor_ends_with_2_when_its_workers_cannot_start(folder: Path) -> None:
    # It imports where the supervisor does, and not in its children.
    (folder / "app.py").write_text(
        f"{APP}\nimport os\nif os.environ.get('ONCE'): raise OSError('no')\nos.environ['ONCE']='1'"
    )
    done = run(folder, "worker", "--processes", "2")
    assert done.code == 2
    assert "error[E101]" in done.err


def test_dev_starts_again_when_a_file_changes_and_survives_a_broken_one(folder: Path) -> None:
    with running(folder, "dev") as dev:
        started(dev, 1)
        slow = enqueue(folder, "slow", "60")
        until(lambda: state_of(folder, slow) == "running")
        (folder / "app.py").write_text(APP.replace("return a + b", "return a * b"))
        started(dev, 2)
        assert "app.py changed: starting again" in dev.err
        until(lambda: state_of(folder, slow) == "running", what="the job that was handed back")
        assert run(folder, "run", "add", "3", "4").out == "12\n"
        (folder / "app.py").write_text("def broken(\n")
        until(lambda: "waiting for a change" in dev.err, within=30)
        assert "SyntaxError" in dev.err
        assert "Traceback" not in dev.err
        (folder / "app.py").write_text(APP)
        started(dev, 3)
        assert run(folder, "run", "add", "3", "4").out == "7\n"
        (worker,) = children(dev.pid)
        dev.process.send_signal(signal.SIGINT)
        assert dev.ends() == 0
        assert not alive(worker)


def test_dev_leaves_environments_and_hidden_folders_out(tmp_path: Path) -> None:
    from jobsworth.cli.dev import fingerprints

    for name in (
        "app.py",
        "pkg/a.py",
        ".hidden/b.py",
        "venv/lib/c.py",
        "venv/pyvenv.cfg",
        "node_modules/d.py",
        "notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert sorted(os.path.relpath(path, tmp_path) for path in fingerprints(tmp_path)) == ["app.py", "pkg/a.py"]


def test_following_the_status_shows_changes_one_line_each(folder: Path) -> None:
    enqueue(folder, "add", "1", "2")
    code, screen = on_terminal(folder, "status", "--watch", answers=[("default", "\x03")])
    assert code == 130
    assert "no worker is listening" in screen


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "ended by itself with exit code 0"), (-9, "was killed by SIGKILL (likely out of memory)"),
     (-15, "was killed by SIGTERM"), (-1000, "was killed by signal 1000")],
)  # fmt: skip
def test_how_a_process_ended_is_told_in_words(code: int, words: str) -> None:
    assert how_it_ended(code) == words


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    for _ in range(3):
        enqueue(folder, "add", "1", "2")
    done = subprocess.run(
        f"{sys.executable} -m jobsworth list | head -1; exit ${{PIPESTATUS[0]}}", shell=True, cwd=folder,
        executable="/bin/bash", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr
    assert done.stdout.startswith("ID")
