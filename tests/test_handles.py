"""A job as its program holds it."""

from __future__ import annotations

import asyncio
import threading

import pytest

import jobsworth
from jobsworth import JobCancelled, JobFailed, Jobsworth, State, current_job
from jobsworth.errors import MoveRefused, WaitTimeout
from runs import SOON, words
from waiting import until


def test_every_verb_of_a_handle_has_an_async_twin(jobs: Jobsworth) -> None:
    @jobs.task(max_attempts=1)
    async def task(n: int) -> int:
        if n < 0:
            raise ValueError("negative")
        return n

    async def main() -> None:
        waiting = await task.options(delay=3600).aenqueue(1)
        assert (await waiting.arefresh()).job.state is State.SCHEDULED
        assert (await waiting.astatus())["job"]["status"] == "scheduled"
        with pytest.raises(WaitTimeout, match="E304"):
            await waiting.aresult(0.01)
        assert await waiting.acancel("no")
        with pytest.raises(JobCancelled, match="E303"):
            await waiting.aresult(1)
        async with jobs.worker(lease=5):
            await waiting.aretry()
            assert await waiting.aresult(10) == 1
            with pytest.raises(JobFailed, match="negative"):
                await (await task.aenqueue(-1)).aresult(10)
            assert (await jobs.ajob_status("default", waiting.id))["job"]["result"] == 1
            assert (await jobs.arequest_job_cancel("default", waiting.id))["accepted"] is False
            assert len(await jobs.afind(state="completed")) == 1
            assert (await jobs.aqueue_snapshot("default"))["queue"] == "default"
            assert len(await jobs.dead_letters().alist()) == 1

    asyncio.run(main())


def test_a_handle_retries_finished_jobs_and_refuses_others(jobs: Jobsworth) -> None:
    @jobs.task
    def task(n: int) -> int:
        return n

    handle = task.enqueue(1)
    with pytest.raises(MoveRefused, match=r"E307.*queued"):
        handle.retry()
    with jobs.worker(lease=5):
        handle.wait(10)
        handle.retry()
        assert handle.result(10) == 1
    until(lambda: words(handle) == ["succeeded", "succeeded"])
    for call in (handle.status, handle.refresh, lambda: handle.wait(1), lambda: handle.result(1), handle.cancel):
        lost = jobs.handle("no-such-job")
        with pytest.raises(jobsworth.JobNotFound, match="E301"):
            getattr(lost, getattr(call, "__name__", "status") if not isinstance(call, type(lambda: 0)) else "status")()


SNAPSHOT = {
    "accepted": bool,
    "message": str,
    "job": {
        "id", "queue", "task", "label", "status", "message", "progress", "result", "error", "cancel_requested",
        "created_at", "started_at", "finished_at", "updated_at", "run_at", "attempt", "max_attempts", "attempts",
        "meta", "tags", "owner", "version",
    },
    "queue": {"pending", "active", "active_jobs", "workers"},
}  # fmt: skip


def test_the_status_snapshot_has_exactly_the_documented_shape(jobs: Jobsworth) -> None:
    go = threading.Event()

    @jobs.task(retry=SOON)
    def task(n: int) -> dict[str, int]:
        job = current_job()
        job.report_progress(1, 2, message="half")
        if job.attempt == 1:
            raise ValueError("first")
        go.wait(20)
        return {"n": n}

    with jobs.worker(lease=5):
        handle = task.options(label="L", tags=["a"], meta={"k": [1], "_secret": 2}, owner="user:7").enqueue(5)
        until(lambda: handle.refresh().job.attempt == 2 and handle.job.state is State.RUNNING and handle.progress)
        running = handle.status()
        go.set()
        handle.wait(10)
        done = handle.status()
    for shot in (running, done):
        assert set(shot) == set(SNAPSHOT)
        assert set(shot["job"]) == SNAPSHOT["job"]
        assert set(shot["queue"]) == SNAPSHOT["queue"]
        assert set(shot["job"]["progress"]) == {"current", "total", "percent"}
        for attempt in shot["job"]["attempts"]:
            assert set(attempt) == {
                "number", "worker", "started_at", "finished_at", "outcome", "error", "traceback",
            }  # fmt: skip
    assert running["job"]["status"] == "running"
    assert running["queue"]["active_jobs"] == [handle.id]
    job = done["job"]
    assert (job["status"], job["result"], job["error"], job["message"]) == ("completed", {"n": 5}, None, "half")
    assert (job["label"], job["tags"], job["meta"], job["owner"]) == ("L", ["a"], {"k": [1]}, "user:7")
    assert [each["outcome"] for each in job["attempts"]] == ["failed", "succeeded"]
    assert job["attempts"][0]["error"] == {"type": "ValueError", "message": "first", "reason": "error"}
    assert "ValueError: first" in job["attempts"][0]["traceback"]
    assert all(job[moment].endswith("Z") for moment in ("created_at", "started_at", "finished_at", "updated_at"))
    again = jobs.job_status("default", handle.id)
    assert again["job"] == job
    assert again["queue"]["workers"] == 0  # it has signed off meanwhile
    with pytest.raises(jobsworth.JobNotFound):
        jobs.job_status("another", handle.id)
    import json

    assert json.loads(json.dumps(done)) == done


def test_request_job_cancel_answers_with_a_snapshot(jobs: Jobsworth) -> None:
    @jobs.task
    def task() -> None: ...

    handle = task.enqueue()
    shot = jobs.request_job_cancel("default", handle.id, reason="why not")
    assert (shot["accepted"], shot["job"]["status"], shot["job"]["cancel_requested"]) == (True, "cancelled", True)
    assert jobs.request_job_cancel("default", handle.id)["accepted"] is False
    with pytest.raises(jobsworth.JobNotFound):
        jobs.request_job_cancel("default", "nobody")
