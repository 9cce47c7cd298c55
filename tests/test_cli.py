"""The command line as people and scripts meet it: whole commands in a folder, their output and their exit codes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from commandline import APP, Running, on_terminal, run, run_here, running
from waiting import until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("app")
    (place / "app.py").write_text(APP)
    return place


@pytest.fixture(scope="module")
def worker(folder: Path) -> Iterator[Running]:
    with running(folder, "worker", "--queues", "default,slow,images") as command:
        until(lambda: "started" in command.err, what="the worker's first line")
        yield command


def test_the_banner_says_what_runs_in_at_most_six_lines(worker: Running) -> None:
    banner = worker.err.split("Ctrl-C to stop")[0].splitlines()
    assert len(banner) <= 5
    assert any("sqlite jobsworth.db" in line and "fsync" in line for line in banner)
    assert any("add" in line and "images" in line for line in banner if line.startswith("tasks"))
    assert any("default:4" in line for line in banner if line.startswith("slots"))


def test_run_prints_the_result_on_stdout_and_nothing_else_there(folder: Path, worker: Running) -> None:
    done = run(folder, "run", "add", "1", "2")
    assert (done.code, done.out) == (0, "3\n")
    assert "attempt 1)" in done.err


def test_run_gives_a_str_parameter_its_text_and_an_int_parameter_its_number(folder: Path, worker: Running) -> None:
    assert run(folder, "run", "greet", "1").out == '"Hello 1"\n'
    assert run(folder, "run", "add", "a=-1", "b=2").out == "1\n"
    assert run(folder, "run", "images", "file_path=a.png", "width=3").json == {"file_path": "a.png", "width": 3}
    assert run(folder, "run", "add", "--args", "-", stdin='{"a": 5, "b": 6}').out == "11\n"


def test_a_failing_job_ends_with_1_and_shows_the_error_before_the_traceback(folder: Path, worker: Running) -> None:
    done = run(folder, "run", "boom", "way")
    assert done.code == 1
    assert done.out == ""
    told = done.err[done.err.index("gave up") :].splitlines()
    assert told[0] == "gave up after 2 attempts: ValueError: no way"
    assert told[1].startswith("  at app.py:")
    assert told[1].endswith("in boom")
    assert "jobsworth show" in told[2]
    assert "Traceback" in done.err
    assert "runners" not in done.err, "frames of ours are no help"


def test_a_failing_job_in_json_is_one_snapshot_and_exit_code_1(folder: Path, worker: Running) -> None:
    done = run(folder, "run", "boom", "x", "--json")
    assert done.code == 1
    assert done.json["job"]["status"] == "failed"
    assert done.json["job"]["error"]["message"] == "no x"


def test_run_ends_with_4_when_time_is_up_and_the_job_goes_on(folder: Path, worker: Running) -> None:
    done = run(folder, "run", "slow", "60", "--timeout", "0.3")
    assert done.code == 4
    assert "error[E304]" in done.err
    running_jobs = run(folder, "list", "--state", "running,queued", "--queue", "slow", "--json").json
    assert [job["task"] for job in running_jobs] == ["slow"]
    done = run(folder, "cancel", running_jobs[0]["id"])
    assert done.code == 0
    watched = run(folder, "watch", running_jobs[0]["id"], "--json")
    assert watched.code == 1, "a cancelled job is no success"
    assert json.loads(watched.out.splitlines()[-1])["status"] == "cancelled"


def test_run_shows_a_live_bar_on_a_terminal_and_the_result_after_it(folder: Path, worker: Running) -> None:
    code, screen = on_terminal(folder, "run", "slow", "0.6")
    assert code == 0
    assert "━" in screen
    assert "working" in screen
    assert "\x1b[" in screen
    assert "0.6\r\n" in screen


def test_run_says_so_when_no_worker_is_listening(folder: Path) -> None:
    done = run(folder, "run", "stuck", "--timeout", "1.5", "--url", "sqlite:///other.db")
    assert done.code == 4
    assert 'none is listening on "stuck"; start one: jobsworth worker --url sqlite:///other.db' in done.err


def test_enqueue_prints_the_id_and_status_list_and_show_know_it(folder: Path, worker: Running) -> None:
    done = run(
        folder, "enqueue", "add", "1", "2", "--delay", "1h", "--tag", "x", "--tag", "y", "--meta", "n=1", "--key", "k"
    )
    job_id = done.out.strip()
    assert done.code == 0
    again = run(folder, "enqueue", "add", "3", "4", "--key", "k")
    assert again.out.strip() == job_id
    assert "nothing new was stored" in again.err
    shown = run(folder, "show", job_id, "--json").json
    assert shown["arguments"] == {"a": 1, "b": 2}
    assert shown["job"]["tags"] == ["x", "y"]
    assert shown["job"]["meta"] == {"n": 1}
    assert shown["job"]["status"] == "scheduled"
    assert job_id in run(folder, "list", "--tag", "y").out
    status = run(folder, "status", "--json").json
    assert status["scheduled"] == 1
    assert {queue["queue"]: queue["slots"] for queue in status["queues"]}["default"] == 4
    assert run(folder, "cancel", job_id).code == 0


def test_every_looking_command_answers_with_one_json_document(folder: Path, worker: Running) -> None:
    commands = (
        "status",
        "list",
        "dead",
        "dead list",
        "queues",
        "queues list",
        "workers",
        "doctor",
        "version",
        "migrate",
    )
    for command in commands:
        done = run_here(folder, *command.split(), "--json")
        assert done.code == 0, (command, done.err)
        assert done.json is not None, command


@pytest.mark.parametrize(
    ("app", "spec", "lines"),
    [
        (
            "import nowhere_at_all\n", "app:jobs",
            ['error[E101]: could not import "app:jobs"',
             "  app.py:1  ModuleNotFoundError: No module named 'nowhere_at_all'",
             "  hint: run inside the project's environment, for example with `uv run`"],
        ),
        (
            "x = 1\n\nraise ValueError('not today')\n", "app.py",
            ['error[E101]: could not import "app.py"', "  app.py:3  ValueError: not today"],
        ),
        (
            "from jobsworth import Jobsworth\njobs = Jobsworth()\n", "app:job",
            ["error[E102]: app:job: 'job' is not there", "  hint: did you mean 'jobs'?"],
        ),
    ],
)  # fmt: skip
def test_an_app_that_does_not_import_is_told_in_two_or_three_lines(
    tmp_path: Path, app: str, spec: str, lines: list[str]
) -> None:
    (tmp_path / "app.py").write_text(app)
    done = run(tmp_path, "worker", spec)
    assert done.code == 2
    assert done.err.splitlines() == lines
    assert done.out == ""


def test_looking_never_makes_a_database_and_says_where_it_looked(tmp_path: Path) -> None:
    for command in ("status", "list", "show abc", "watch abc", "cancel abc", "dead", "queues", "workers"):
        done = run_here(tmp_path, *command.split())
        assert done.code == 3, command
        assert "no tables at jobsworth.db yet; they are made when the first job is enqueued" in done.err
        assert done.out == ""
    assert run(tmp_path, "doctor").code == 0
    assert run(tmp_path, "migrate", "--check").code == 2
    assert list(tmp_path.iterdir()) == []
    assert run(tmp_path, "migrate").code == 0
    assert run(tmp_path, "migrate", "--check").code == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("statuss", 'Unknown command "statuss". Did you mean "status"?'),
        ("list --stat failed", "Did you mean --state?"),
        ("list --state fialed", "did you mean 'failed'?"),
        ("dead redriv", "did you mean 'redrive'?"),
        ("run", "jobsworth run needs TASK"),
        ("run ad 1 2", "did you mean 'add'?"),
        ("run add 1", 'needs argument "b"'),
        ("run add 1 x", 'argument "b": expected int, got str'),
        ("run add 1 2 c=3", 'has no argument "c"'),
        ("run add --args {", "--args is not JSON"),
        ("run add 1 --args [1,2]", "not both"),
        ("enqueue add 1 2 --delay soon", "--delay takes a time like"),
        ("enqueue add 1 2 --run-at soon", "--run-at takes a moment like"),
        ("enqueue add 1 2 --priority high", "--priority"),
        ("worker --queues slwo", "did you mean 'slow'?"),
        ("worker --processes 0", "--processes must be at least 1"),
        ("worker --lease 0.1", "lease must be between"),
        ("worker nowhere.py", "there is no file 'nowhere.py'"),
        ("worker app.py --app other.py", "two apps are named"),
        ("status --url postgress://x", "error[E103]"),
        ("status --url memory://", "lives inside one process"),
        ("cancel", "which jobs?"),
        ("queues pause", "which queue?"),
        ("list --limit 0", "--limit must be at least 1"),
    ],
)
def test_a_mistake_is_explained_without_a_traceback(folder: Path, command: str, said: str) -> None:
    done = run_here(folder, *command.split())
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_what_is_not_a_database_is_told_with_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "jobsworth.db").write_text("this is not a database, it is a poem" * 100)
    done = run(tmp_path, "status")
    assert done.code == 3
    assert "error[E2" in done.err
    assert "Traceback" not in done.err


def test_a_database_of_a_newer_version_is_refused_with_exit_code_2(tmp_path: Path) -> None:
    assert run(tmp_path, "migrate").code == 0
    with sqlite3.connect(tmp_path / "jobsworth.db") as connection:
        connection.execute("UPDATE jobsworth_schema SET version = 999")
    connection.close()
    for command in ("status", "migrate", "migrate --check", "worker"):
        (tmp_path / "app.py").write_text(APP)
        done = run_here(tmp_path, *command.split())
        assert done.code == 2, command
        assert "error[E110]" in done.err


def test_an_app_that_is_broken_does_not_keep_anybody_from_looking(
    folder: Path, worker: Running, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text("import jobsworth\nraise OSError('broken')\n")
    done = run(tmp_path, "list", JOBSWORTH_URL=f"sqlite:///{folder}/jobsworth.db")
    assert done.code == 0
    assert "warning[E101]" in done.err
    assert run(tmp_path, "list", "--url", f"sqlite:///{folder}/jobsworth.db").err == ""
    doctor = run(tmp_path, "doctor", JOBSWORTH_URL=f"sqlite:///{folder}/jobsworth.db")
    assert doctor.code == 1
    assert "✗ app" in doctor.out
    assert "✓ durability" in doctor.out


def test_text_that_an_old_encoding_does_not_know_is_shown_as_codes(folder: Path, worker: Running) -> None:
    done = run(folder, "list", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.code == 0
    assert "\\u2713 completed" in done.out


def test_colours_are_for_terminals_and_only_where_they_are_wanted(folder: Path, worker: Running) -> None:
    run(folder, "run", "add", "1", "1")
    assert "\x1b" not in run(folder, "list").out
    code, screen = on_terminal(folder, "list")
    assert code == 0
    assert "\x1b[32m✓ completed\x1b[0m" in screen


def test_bench_measures_a_database_of_its_own(tmp_path: Path) -> None:
    figures = run(tmp_path, "bench", "--jobs", "50", "--slots", "5", "--json", "--folder", str(tmp_path)).json
    assert figures["jobs"] == 50
    assert figures["drain_per_second"] > 0
    assert list(tmp_path.iterdir()) == []


def test_an_idle_worker_stays_small(worker: Running) -> None:
    status = Path(f"/proc/{worker.pid}/status")
    if not status.exists():
        pytest.skip("this system does not tell a process's memory")
    assert "VmRSS" in status.read_text()
    resident = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    assert resident < 45_000, f"{resident} kB"
