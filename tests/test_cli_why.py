"""`jobsworth why`: the reasons a person reads, the document a script reads, and the exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from commandline import APP, run, run_here, running
from waiting import until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def enqueued(folder: Path, *words: str) -> str:
    return run_here(folder, "enqueue", *words).out.strip()


def test_a_reason_comes_with_what_to_do_below_it(folder: Path) -> None:
    job_id = enqueued(folder, "add", "1", "2")
    done = run_here(folder, "why", job_id)
    assert (done.code, done.err) == (0, "the app is imported\n")
    assert done.out.splitlines() == [
        f"{job_id}  ○ queued",
        '  no worker is live, so none is listening on "default"',
        "    → start one: jobsworth worker",
    ]


def test_a_beginning_of_the_id_is_enough_and_the_place_asked_about_is_in_the_advice(folder: Path) -> None:
    job_id = enqueued(folder, "add", "1", "2")
    done = run_here(folder, "why", job_id[:10], "--url", "sqlite:///jobsworth.db")
    assert done.out.startswith(job_id)
    assert "→ start one: jobsworth worker --url sqlite:///jobsworth.db" in done.out


def test_a_script_gets_one_document(folder: Path) -> None:
    job_id = enqueued(folder, "add", "1", "2", "--delay", "1h")
    run_here(folder, "queues", "pause", "default")
    done = run_here(folder, "why", job_id, "--json")
    assert done.code == 0
    assert (done.json["job_id"], done.json["state"]) == (job_id, "scheduled")
    assert [finding["word"] for finding in done.json["findings"]] == ["scheduled", "paused", "no-worker"]
    assert {"word", "text", "do"} == set(done.json["findings"][0])


def test_an_id_that_is_not_there_is_a_mistake_of_whoever_asks(folder: Path) -> None:
    enqueued(folder, "add", "1", "2")
    done = run_here(folder, "why", "nobody")
    assert done.code == 2
    assert "error[E301]: there is no job nobody" in done.err


def test_an_engine_that_does_not_answer_is_the_reason_and_exit_code_3(folder: Path) -> None:
    url = "postgresql://127.0.0.1:1/jobs"
    done = run_here(folder, "why", "0199", "--url", url)
    assert done.code == 3
    assert done.out.startswith("0199  ? unknown\n  the engine does not answer: ")
    done = run_here(folder, "why", "0199", "--url", url, "--json")
    assert done.code == 3
    assert done.json["state"] is None
    assert [finding["word"] for finding in done.json["findings"]] == ["unreachable"]


def test_asking_makes_no_database(folder: Path) -> None:
    done = run_here(folder, "why", "0199")
    assert done.code == 3
    assert "no tables at jobsworth.db yet" in done.err
    assert not (folder / "jobsworth.db").exists()


def test_what_data_says_cannot_move_the_cursor(folder: Path) -> None:
    (folder / "app.py").write_text(
        APP + '\n\n@jobs.task(max_attempts=1)\ndef evil():\n    raise ValueError("\\x1b[2Jgone\\n\\u202eforged")\n'
    )
    job_id = enqueued(folder, "evil")
    with running(folder, "worker", "--queues", "default"):
        until(lambda: run_here(folder, "why", job_id, "--json").json["state"] == "failed", within=30, every=0.2)
    done = run_here(folder, "why", job_id)
    assert r"ValueError: \x1b[2Jgone\n\u202eforged" in done.out
    assert len(done.out.splitlines()) == 3
    assert "\x1b" not in run_here(folder, "why", job_id, "--json").out


def test_slots_that_others_hold_are_named_by_a_real_worker(folder: Path) -> None:
    holder, waiting = enqueued(folder, "slow", "60"), enqueued(folder, "slow", "60")
    with running(folder, "worker", "--queues", "slow:1"):
        until(lambda: run_here(folder, "why", holder, "--json").json["state"] == "running", within=30, every=0.2)
        found = run(folder, "why", waiting, "--json").json["findings"]
        assert [finding["word"] for finding in found] == ["busy"]
        assert f'its slot in "slow" is held by {holder} slow for ' in found[0]["text"]
        assert f"jobsworth cancel {holder}" in found[0]["do"]
        run_here(folder, "cancel", holder)
        until(lambda: run_here(folder, "why", waiting, "--json").json["state"] == "running", within=30, every=0.2)
