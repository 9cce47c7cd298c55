"""The commands that change what is stored: cancel, retry, dead and queues; and how they ask before they change much."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commandline import APP, on_terminal, run_here
from jobsworth import Jobsworth, State
from jobsworth.errors import JobNotFound


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Jobsworth]:
    """The app's jobs, as another program sees them. The app itself is in app.py."""
    (tmp_path / "app.py").write_text(APP)
    store = Jobsworth(f"sqlite:///{tmp_path / 'jobsworth.db'}")

    @store.task
    def add(a: int, b: int) -> int:
        return a + b

    @store.task(queue="slow")
    def slow(seconds: float) -> float:
        return seconds

    yield store
    store.close()


@pytest.fixture
def folder(store: Jobsworth, tmp_path: Path) -> Path:
    store.queue_statuses()  # the database is there
    return tmp_path


def waiting(store: Jobsworth, count: int, task: str = "add") -> list[str]:
    arguments: Any = (1, 2) if task == "add" else (1.0,)
    return [handle.id for handle in store.find_task(task).enqueue_many([arguments] * count)]


def letters(store: Jobsworth, count: int) -> list[str]:
    return [store.dead_letters().push(store.tasks["add"], (number, 1), OSError("disk")) for number in range(count)]


def states(store: Jobsworth) -> dict[str, int]:
    found = [job.state.value for job in store.find(limit=None)]
    return {state: found.count(state) for state in set(found)}


def test_a_job_is_cancelled_by_the_beginning_of_its_id(store: Jobsworth, folder: Path) -> None:
    (job_id,) = waiting(store, 1)
    done = run_here(folder, "cancel", job_id[:20], "--reason", "not today")
    assert (done.code, done.out) == (0, f"{job_id} is cancelled\n")
    assert store.handle(job_id).job.cancel_reason == "not today"
    assert "was cancelled already" in run_here(folder, "cancel", job_id).out


def test_a_beginning_that_fits_several_ids_is_refused_with_the_candidates(store: Jobsworth, folder: Path) -> None:
    for name in ("report-1", "report-2"):
        store.tasks["add"].options(id=name).enqueue(1, 2)
    done = run_here(folder, "show", "report-")
    assert done.code == 2
    assert "report-1" in done.err
    assert "report-2" in done.err
    assert run_here(folder, "show", "report-1").code == 0


def test_an_unknown_id_is_e301(folder: Path) -> None:
    for command in ("show nope", "cancel nope", "retry nope", "watch nope", "dead show nope", "dead redrive nope"):
        done = run_here(folder, *command.split())
        assert done.code == 2, command
        assert "error[E301]: there is no job nope\n  hint: " in done.err, command


def test_many_are_only_cancelled_when_somebody_said_so(store: Jobsworth, folder: Path) -> None:
    waiting(store, 12)
    waiting(store, 1, "slow")
    assert (
        run_here(folder, "cancel", "--queue", "default", "--dry-run").out
        == 'would cancel 12 jobs with queue "default"\n'
    )
    refused = run_here(folder, "cancel", "--queue", "default")
    assert refused.code == 2
    assert "refusing to cancel 12 jobs" in refused.err
    wrong = run_here(folder, "cancel", "--queue", "default", stdin="yes\n", terminal=True)
    assert wrong.code == 2
    assert "not confirmed; nothing was changed" in wrong.err
    assert states(store) == {"queued": 13}
    right = run_here(folder, "cancel", "--queue", "default", stdin="12\n", terminal=True)
    assert right.code == 0
    assert "Type 12 to confirm: " in right.err
    assert states(store) == {"cancelled": 12, "queued": 1}
    assert len(run_here(folder, "cancel", "--task", "slow", "--yes", "--json").json["changed"]) == 1


def test_the_question_is_asked_on_a_real_terminal(store: Jobsworth, folder: Path) -> None:
    waiting(store, 3)
    code, screen = on_terminal(folder, "cancel", "--queue", "default", answers=[("Type 3 to confirm: ", "3\n")])
    assert code == 0
    assert "cancel: 3 jobs" in screen
    assert states(store) == {"cancelled": 3}


def test_ctrl_c_at_the_question_changes_nothing_and_is_quiet(store: Jobsworth, folder: Path) -> None:
    waiting(store, 3)
    code, screen = on_terminal(folder, "cancel", "--queue", "default", answers=[("Type 3 to confirm: ", "\x03")])
    assert code == 130
    assert "Traceback" not in screen
    assert states(store) == {"queued": 3}


def test_ids_and_filters_together_are_refused(store: Jobsworth, folder: Path) -> None:
    (job_id,) = waiting(store, 1)
    for command in (f"cancel {job_id} --queue default", f"dead redrive {job_id} --queue default"):
        assert "not by both" in run_here(folder, *command.split()).err


def test_retry_takes_a_finished_job_back_and_refuses_a_waiting_one(store: Jobsworth, folder: Path) -> None:
    (dead,) = letters(store, 1)
    assert run_here(folder, "retry", dead).out == f"{dead} is queued again\n"
    again = run_here(folder, "retry", dead)
    assert again.code == 2
    assert "error[E307]" in again.err


def test_retry_with_new_arguments_checks_them_against_the_app(store: Jobsworth, folder: Path) -> None:
    (dead,) = letters(store, 1)
    bad = run_here(folder, "retry", dead, "--args", '{"a": "x", "b": 2}')
    assert bad.code == 2
    assert 'argument "a": expected int' in bad.err
    assert run_here(folder, "retry", dead, "--args", '{"a": 5, "b": 6}').code == 0
    assert run_here(folder, "show", dead, "--json").json["arguments"] == {"a": 5, "b": 6}


def test_dead_letters_are_listed_shown_and_redriven(store: Jobsworth, folder: Path) -> None:
    ids = letters(store, 8)
    listed = run_here(folder, "dead")
    assert all(each in listed.out for each in ids)
    assert "8 × add: OSError" in listed.err
    assert "OSError: disk" in run_here(folder, "dead", "show", ids[0]).out
    assert run_here(folder, "dead", "redrive", "--dry-run").out == "would redrive 8 jobs\n"
    assert run_here(folder, "dead", "redrive").code == 2
    assert run_here(folder, "dead", "redrive", ids[0], "--args", "[7, 8]").out == "redriven: 1 job\n"
    assert run_here(folder, "show", ids[0], "--json").json["arguments"] == {"a": 7, "b": 8}
    assert run_here(folder, "dead", "redrive", "--text", "disk", "--rate", "2", "--yes").out == "redriven: 7 jobs\n"
    # At 2 a second the first may start at once and the others half a second apart.
    assert states(store) == {"queued": 2, "scheduled": 6}
    assert "no dead letters\n" in run_here(folder, "dead").err


def test_dead_letters_are_discarded_for_good_only_after_a_yes(store: Jobsworth, folder: Path) -> None:
    ids = letters(store, 4)
    assert run_here(folder, "dead", "discard", ids[0]).out == "discarded: 1 job\n"
    with pytest.raises(JobNotFound):
        store.handle(ids[0]).refresh()
    assert run_here(folder, "dead", "discard").code == 2
    assert run_here(folder, "dead", "discard", "--reason", "timeout", "--yes").out == ""
    done = run_here(folder, "dead", "discard", "--reason", "pushed", "--yes", "--json").json
    assert done == {"deleted": 3, "count": 3, "dry_run": False}
    assert store.find() == []


def test_dead_commands_leave_living_jobs_alone(store: Jobsworth, folder: Path) -> None:
    (job_id,) = waiting(store, 1)
    for command in ("show", "redrive", "discard"):
        done = run_here(folder, "dead", command, job_id)
        assert done.code == 2
        assert "is queued, not a dead letter" in done.err
    assert states(store) == {"queued": 1}


def test_a_queue_is_paused_and_resumed_and_a_mistyped_one_is_not(store: Jobsworth, folder: Path) -> None:
    waiting(store, 1)
    assert run_here(folder, "queues", "pause", "default").code == 0
    assert "‖ paused" in run_here(folder, "queues").out
    status = run_here(folder, "status")
    assert "default is paused; let it go on: jobsworth queues resume default" in status.out
    mistyped = run_here(folder, "queues", "resume", "defualt")
    assert mistyped.code == 2
    assert "did you mean 'default'?" in mistyped.err
    assert run_here(folder, "queues", "resume", "default", "--json").json == {"queues": ["default"], "paused": False}


def test_purge_deletes_waiting_jobs_only_after_their_number_was_typed(store: Jobsworth, folder: Path) -> None:
    waiting(store, 5)
    (dead,) = letters(store, 1)
    assert run_here(folder, "queues", "purge", "default", "--dry-run").out == "would delete 5 waiting jobs of default\n"
    assert run_here(folder, "queues", "purge", "default").code == 2
    assert run_here(folder, "queues", "purge", "default", stdin="5\n", terminal=True).code == 0
    assert [job.id for job in store.find()] == [dead]


def test_what_is_in_the_data_cannot_move_the_cursor(store: Jobsworth, folder: Path) -> None:
    store.tasks["add"].options(label="\x1b[2J\x1b]0;owned\x07 \u202egnp.exe", meta={"x": "\x9b31m"}).enqueue(1, 2)
    store.dead_letters().push(store.tasks["add"], (1, 2), "bad\r\nforged line\x1b[31m")
    for command in ("list", "dead", "status"):
        shown = run_here(folder, *command.split()).out
        assert not set(shown) & set("\x1b\x07\x9b\r\u202e"), command
    for job in store.find():
        for form in ((), ("--json",)):
            shown = run_here(folder, "show", job.id, *form).out
            assert not set(shown) & set("\x1b\x07\x9b\r\u202e")


def test_a_search_without_a_result_says_why(store: Jobsworth, folder: Path) -> None:
    assert "no jobs yet" in run_here(folder, "list").err
    waiting(store, 1)
    assert "did you mean 'default'?" in run_here(folder, "list", "--queue", "defalt").err
    assert "no job matches with owner" in run_here(folder, "list", "--owner", "nobody").err
    assert run_here(folder, "list", "--owner", "nobody", "--json").json == []


def test_status_tells_what_to_do_about_a_queue_nobody_serves(store: Jobsworth, folder: Path) -> None:
    waiting(store, 2)
    status = run_here(folder, "status")
    assert "▲ no worker is listening" in status.out
    assert 'no worker is listening on "default"; start one: jobsworth worker' in status.out
    assert run_here(folder, "status", "--json").json["queues"][0]["waiting"] == 2


def test_status_reports_tasks_that_no_live_worker_knows(store: Jobsworth, folder: Path) -> None:
    other = Jobsworth(store.url)

    @other.task
    def unheard_of() -> None: ...

    unheard_of.enqueue()
    other.close()
    with store.worker("default"):
        status = run_here(folder, "status").out
    assert 'warn[W301]: 1 job in default need the task "unheard_of"' in status
    assert store.find(state=State.QUEUED)[0].task == "unheard_of"
