"""A program as a user writes it; never run, only type-checked, strictly.

Each `type: ignore[...]` below is a mistake a user may make. The type checker warns about ignores it does not need, so
a mistake that is no longer found fails the check as surely as right code that is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, assert_type

import psycopg
from fastapi import Depends, FastAPI
from flask import Flask
from litestar import Litestar
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from starlette.applications import Starlette

from jobsworth import CurrentJob, Jobsworth, QueueService, Retry, current_job, retrying
from jobsworth.integrations.celery import AsyncResult, Celery, Signature, Task, current_app, shared_task
from jobsworth.integrations.celery.contrib.testing.worker import TestWorker, start_worker
from jobsworth.integrations.celery.exceptions import MaxRetriesExceededError, SoftTimeLimitExceeded
from jobsworth.integrations.celery.signals import task_failure
from jobsworth.integrations.fastapi import get_jobs
from jobsworth.integrations.flask import JobsworthFlask
from jobsworth.integrations.litestar import JobsworthPlugin
from jobsworth.testing import (
    DrainKit,
    HandClock,
    InlineKit,
    Kit,
    RealKit,
    Report,
    crash,
    drain,
    fake,
    inline,
    real,
)  # fmt: skip
from jobsworth.web import Level, Request, Site, Visitor, local_operator

jobs = Jobsworth()


class ImageQueue(QueueService):
    name = "image_processing"
    worker_count = 4
    retry = Retry(max_attempts=5)
    timeout = 60

    def handle_item(self, item: dict[str, Any]) -> dict[str, str]:
        self.report_progress(current=1, total=3, message="Loading image...")
        self.check_cancelled()
        return {"output": item["file_path"]}


images = jobs.add(ImageQueue())


@jobs.task(queue="mailers", max_attempts=5)
def send_email(user_id: int, template: str, params: dict[str, str]) -> str:
    return f"{user_id} {template} {params}"


@jobs.task(queue="pages")
async def fetch(url: str, *, timeout: float = 10.0) -> bytes:
    return f"{url} {timeout}".encode()


@jobs.task
def count(job: CurrentJob, upto: int) -> int:
    job.report_progress(current=upto, total=upto)
    return upto


def is_given_its_job() -> None:
    assert_type(count.enqueue(3).result(), int)
    assert_type(count(3), int)
    count.enqueue("3")  # type: ignore[arg-type]


def enqueues_as_declared() -> None:
    job = send_email.enqueue(7, "welcome", {"name": "Ada"})
    assert_type(job.id, str)
    assert_type(job.result(timeout=10), str)
    job.cancel(reason="changed my mind")
    send_email.enqueue(7, template="welcome", params={})
    later = send_email.options(delay=30, priority=5, key="order-7", tags=["mail"]).enqueue(7, "welcome", {})
    assert_type(later.result(), str)
    picture = images.enqueue({"file_path": "a.png", "resize_to": (1200, 800)})
    assert_type(picture.id, str)


async def completes_itself() -> int:
    async with current_job().transaction() as connection:
        await connection.execute("UPDATE orders SET paid = 1")
        return 7


async def shares_transactions(
    file: sqlite3.Connection, server: psycopg.AsyncConnection[Any], session: Session, later: AsyncSession
) -> None:
    assert_type(send_email.options(transaction=file).enqueue(7, "welcome", {}).result(), str)
    send_email.options(transaction=session, delay=30).enqueue_many([(7, "welcome", {})])
    await send_email.options(transaction=server).aenqueue(7, "welcome", {})
    await fetch.options(transaction=later).aenqueue("https://example.org")
    jobs.enqueue_many([send_email.new_job(7, "welcome", {})], transaction=file)
    with current_job().transaction(result=7) as connection:
        connection.execute("UPDATE orders SET paid = 1")
    async with current_job().transaction(result=7) as connection:
        await connection.execute("UPDATE orders SET paid = 1")
    # No exception is swallowed: what follows a block that returns is never reached.
    assert_type(await completes_itself(), int)
    send_email.options(transaction="sqlite:///jobs.db")  # type: ignore[arg-type]


def calls_as_declared() -> None:
    assert_type(send_email(7, "welcome", {}), str)


async def waits_without_blocking() -> None:
    job = await send_email.aenqueue(7, "welcome", {})
    assert_type(await job.aresult(timeout=10), str)
    # What a coroutine function promises is what it returns when awaited.
    page = await fetch.aenqueue("https://example.org", timeout=3)
    assert_type(await page.aresult(), bytes)
    assert_type(fetch.enqueue("https://example.org").result(), bytes)
    assert_type(await fetch("https://example.org"), bytes)


@retrying(Retry(max_attempts=3))
async def rate(currency: str) -> float:
    return 1.08


async def tries_again_without_a_job() -> None:
    assert_type(await rate("USD"), float)
    assert_type((await jobs.atotals("mailers")).processed, int)
    await rate(7)  # type: ignore[arg-type]
    retrying(Retry())(len)  # type: ignore[arg-type]


async def mistakes_are_found() -> None:
    send_email.enqueue("7", "welcome", {})  # type: ignore[arg-type]
    send_email.enqueue(7, "welcome")  # type: ignore[call-arg]
    send_email.enqueue(7, "welcome", {}, "more")  # type: ignore[call-arg]
    send_email.enqueue(7, "welcome", parameters={})  # type: ignore[call-arg]
    await send_email.aenqueue(7, 8, {})  # type: ignore[arg-type]
    send_email.options(delay=30).enqueue("7", "welcome", {})  # type: ignore[arg-type]
    send_email.options(delai=30)  # type: ignore[call-arg]
    fetch.enqueue("https://example.org", timeout="soon")  # type: ignore[arg-type]
    number: int = send_email.enqueue(7, "welcome", {}).result()  # type: ignore[assignment]
    print(number)


def who(request: Request) -> Visitor | None:
    return Visitor(Level.USER, owner="user:7") if "cookie" in request.headers else None


async def awho(request: Request) -> Level:
    return Level.ADMIN if request.client == "127.0.0.1" else Level.NONE


def over_http(jobs: Jobsworth) -> None:
    assert_type(jobs.handle("0199").token(lifetime=60), str)
    for site in (Site(jobs, authorize=who), Site(jobs, authorize=awho), Site(jobs, authorize=local_operator)):
        assert_type(site.uptime, float)
    Site(jobs)  # type: ignore[call-arg]
    Site(jobs, authorize=lambda request: True)  # type: ignore[arg-type, return-value]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with jobs.lifespan(app):
        yield


async def view(jobs: Annotated[Jobsworth, Depends(get_jobs)]) -> str:
    assert_type(jobs, Jobsworth)
    return (await send_email.aenqueue(7, "welcome", {})).id


def lives_with_a_web_app() -> None:
    FastAPI(lifespan=jobs.lifespan)
    FastAPI(lifespan=lifespan)
    FastAPI(lifespan=jobs.lifespan(worker=True, queues="image_processing:4", grace=5))
    Starlette(lifespan=jobs.lifespan(worker=jobs.worker(lease=5)))
    Litestar(lifespan=[jobs.lifespan])
    Litestar(plugins=[JobsworthPlugin(jobs, authorize=who, worker=True, origins=["https://app.example"])])
    JobsworthFlask(jobs, Flask(__name__), authorize=local_operator).close()
    JobsworthFlask(jobs).init_app(Flask(__name__))
    jobs.around.append(lambda job: nullcontext(job.id))
    jobs.lifespan(worker="image_processing")  # type: ignore[call-overload]
    JobsworthFlask(Flask(__name__))  # type: ignore[arg-type]
    JobsworthPlugin(jobs, worker="image_processing")  # type: ignore[arg-type]


# Tests of a program like this one. The fixtures are functions of pytest's: here they are arguments.
def tests_what_is_enqueued(jobs_fake: Kit, jobs_inline: InlineKit, clock: HandClock) -> None:
    jobs_fake.assert_enqueued(send_email, 7, "welcome", {}, queue="mailers", delay=timedelta(hours=1), count=1)
    jobs_fake.refute_enqueued(images, {"file_path": "a.png"})
    assert_type([job.id for job in jobs_fake.enqueued(count)], list[str])
    clock.advance("3h")
    jobs_inline.assert_enqueued(fetch, timeout=3, url="https://example.org")
    jobs_fake.assert_enqueued(send_email, count="one")  # type: ignore[arg-type]
    jobs_fake.assert_enqueued("send_email")  # type: ignore[arg-type]
    jobs_fake.drain()  # type: ignore[attr-defined]
    clock.advance(None)  # type: ignore[arg-type]


async def tests_what_runs(jobs_drain: DrainKit, jobs_real: RealKit, crash_here: Callable[..., Report]) -> None:
    handle = count.enqueue(3)
    jobs_drain.lose(handle)
    assert_type(jobs_drain.drain(within=5), int)
    assert_type(await jobs_drain.adrain(), int)
    assert_type(jobs_drain.observe(handle).id, str)
    assert_type(jobs_drain.cancel(handle, "enough"), bool)
    jobs_real.kill()
    assert_type(crash_here(count, 3).twice, dict[str, tuple[str, ...]])


def tests_without_pytest(folder: Path, mine: Celery) -> None:
    with (
        drain(jobs) as draining,
        inline(jobs, HandClock()) as inlined,
        fake(jobs) as kit,
        real(jobs, folder) as process,
    ):
        assert_type((draining, inlined, kit, process), tuple[DrainKit, InlineKit, Kit, RealKit])
    crash(jobs, count, 3, effects=["shop.deliver", (jobs, "open")], lines="every").assert_once()
    with start_worker(mine, concurrency=2, queues="video") as worker:
        assert_type(worker, TestWorker)
        worker.reload()
    with fake(mine.jobs) as kit:
        kit.assert_enqueued(mine.tasks["tasks.process_upload"], 123)
    start_worker(mine, concurrency="2")  # type: ignore[arg-type]


def fixtures() -> Iterator[Kit]:
    with fake(jobs, HandClock(1_700_000_000)) as kit:
        yield kit


# A program of Celery's, with only its import lines changed.
celery_app = Celery("tasks", broker="redis://localhost:6379/0", backend="redis://localhost:6379/1")
celery_app.conf.update(task_serializer="json", accept_content=["json"], task_track_started=True, task_acks_late=True)


@celery_app.task(bind=True, max_retries=3)
def process_upload(self: Task, file_id: int) -> dict[str, object]:
    try:
        self.update_state(state="PROGRESS", meta={"current": file_id})
        return {"status": "completed", "file_id": file_id, "id": self.request.id}
    except SoftTimeLimitExceeded as exc:
        raise self.retry(exc=exc, countdown=2**self.request.retries) from exc


class ResilientTask(Task):
    autoretry_for = (Exception,)
    dont_autoretry_for = (KeyError,)
    retry_kwargs = {"max_retries": 5}
    retry_backoff = True
    retry_backoff_max = 600
    retry_jitter = True
    max_retries = None
    acks_late = True
    ignore_result = True

    def on_failure(self, exc: Exception, task_id: str, args: object, kwargs: object, einfo: object) -> None:
        if isinstance(exc, MaxRetriesExceededError):
            self.send_event("given-up")


@celery_app.task(base=ResilientTask)
def process_with_recovery(data: dict[str, object]) -> None: ...


@shared_task
def notify(file_id: int) -> None: ...


@task_failure.connect
def heard(sender: Task | None = None, task_id: str = "", **_more: object) -> None: ...


def calls_celery() -> None:
    task = process_upload.delay(7)
    assert_type(task, AsyncResult)
    result = AsyncResult(task.id, app=celery_app)
    assert_type((result.status, result.ready(), result.failed()), tuple[str, bool, bool])
    process_upload.apply(args=[123]).get(timeout=10)
    process_upload.apply_async((7,), {}, countdown=3, queue="q", link=notify.s(), link_error=[notify.si(7)])
    assert_type(notify.s(1).set(queue="q"), Signature)
    celery_app.send_task("elsewhere.task", args=[1], kwargs={"a": 2}).forget()
    celery_app.control.revoke(result.id, terminate=True)
    current_app.conf.timezone = "UTC"
    process_upload.dealy(7)  # type: ignore[attr-defined]
