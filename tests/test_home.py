"""Where a program's jobs are at home, and that it may learn of that late, or anew."""

from __future__ import annotations

from pathlib import Path

from jobsworth import Jobsworth, Task
from jobsworth.home import Home


def a_task(jobs: Jobsworth) -> Task[[], int]:
    @jobs.task
    def run() -> int:
        return 1

    return run


def test_jobs_may_be_told_to_live_elsewhere_before_they_are_used(tmp_path: Path) -> None:
    jobs = Jobsworth("memory://")
    run = a_task(jobs)
    jobs.use(f"sqlite:///{tmp_path}/jobs.db")
    handle = run.enqueue()
    jobs.close()
    there = Jobsworth(f"sqlite:///{tmp_path}/jobs.db")
    assert [job.id for job in there.find()] == [handle.id]
    there.close()


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
