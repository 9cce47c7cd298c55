"""Where a program's jobs are at home, and that it may learn of that late, or anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobsworth import Jobsworth, Task
from jobsworth.errors import BadOption
from jobsworth.home import Home


def a_task(jobs: Jobsworth) -> Task[[], int]:
    @jobs.task
    def run() -> int:
        return 1

    return run


def test_jobs_may_move_before_the_first_use_and_after_the_end(tmp_path: Path) -> None:
    jobs = Jobsworth("memory://")
    run = a_task(jobs)
    jobs.use(f"sqlite:///{tmp_path / 'one.db'}")
    first = run.enqueue()
    with pytest.raises(BadOption, match=r"live at .*one\.db"):
        jobs.use(f"sqlite:///{tmp_path / 'two.db'}")
    jobs.close()
    jobs.use(f"sqlite:///{tmp_path / 'two.db'}")
    second = run.enqueue()
    assert [job.id for job in jobs.find()] == [second.id] != [first.id]
    jobs.close()


def test_a_program_may_learn_anew_where_its_jobs_live() -> None:
    homes = [Home.at("memory://"), Home.at("memory://")]

    class Nomad(Jobsworth):
        def home(self) -> Home:
            return homes[0]

    jobs = Nomad("memory://")
    run = a_task(jobs)
    run.enqueue()
    assert len(jobs.find()) == 1
    homes.reverse()
    assert jobs.find() == []
    with jobs.worker():
        assert run.enqueue().result(10) == 1
