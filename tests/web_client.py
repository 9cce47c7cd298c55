"""Asks a site over both hosts, as a browser or a program would. All goes through the real ASGI or WSGI app."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest

from jobsworth import Jobsworth, Queue, QueueService, Retry
from jobsworth.clock import ManualClock
from jobsworth.engine import Engine, Pulse, QueueSettings, Want, Where, WorkerCard
from jobsworth.engines.memory import MemoryEngine
from jobsworth.events import Event
from jobsworth.job import Claim, Failure, Job, LogLine, Progress
from jobsworth.lifecycle import settle
from jobsworth.outcome import Outcome, Succeeded
from jobsworth.web import Level, Site, Visitor

HOSTS = ("asgi", "wsgi")
SECRET = "a secret of more than sixteen characters"
ADMIN = Visitor(Level.ADMIN, name="root")
DONE = Succeeded(b"1")


class Client:
    """A client of one site over one host. `headers` go with every request."""

    def __init__(
        self, site: Site, host: str = "asgi", *, base: str = "http://app.test", client: str = "10.1.2.3", **headers: str
    ) -> None:
        self.site = site
        self._host = host
        self._base = base
        self._client = client
        self._headers = headers

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, *, begin: bool = False, **more: Any
    ) -> httpx.Response:
        """The answer. begin: of a stream only how it begins; then the reader goes away."""
        sent = {**self._headers, **(headers or {})}
        if self._host == "wsgi":
            transport = httpx.WSGITransport(as_servers_do(self.site.wsgi), remote_addr=self._client)
            with httpx.Client(transport=transport, base_url=self._base) as client:
                return client.request(method, path, headers=sent, **more)
        return asyncio.run(self._ask(method, path, sent, more, begin_only(self.site.asgi) if begin else self.site.asgi))

    async def _ask(
        self, method: str, path: str, headers: dict[str, str], more: dict[str, Any], app: Any
    ) -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(self._client, 4321))
        async with httpx.AsyncClient(transport=transport, base_url=self._base) as client:
            return await client.request(method, path, headers=headers, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, data: Any = None, **more: Any) -> httpx.Response:
        return self.ask("POST", path, **({"json": data} if data is not None else {}), **more)

    def delete(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("DELETE", path, **more)


def begin_only(app: Any) -> Any:
    """The app for a reader who goes away when the first bytes have come."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        came = asyncio.Event()
        asked = False

        async def hear() -> Any:
            nonlocal asked
            if not asked:
                message = await receive()
                asked = not message.get("more_body")
                return message
            await came.wait()
            return {"type": "http.disconnect"}

        ended = False

        async def tell(message: Any) -> None:
            nonlocal ended
            await send(message)
            if message["type"] == "http.response.body":
                ended = not message.get("more_body", False)
                came.set()

        await app(scope, hear, tell)
        if not ended:  # the client wants to see an end
            await send({"type": "http.response.body", "body": b""})

    return wrapped


def as_servers_do(app: Any) -> Any:
    """httpx hands the path over as text; servers hand over its bytes, as latin-1."""
    return lambda environ, start: app({**environ, "PATH_INFO": environ["PATH_INFO"].encode().decode("latin-1")}, start)


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def a_url(request: pytest.FixtureRequest, kind: str, folder: Path) -> str:
    """Where the jobs of a test live: on an engine of that kind, which may need a server."""
    if kind in ("memory", "sqlite"):
        return "memory://" if kind == "memory" else f"sqlite:///{folder}/jobs.db"
    server = request.getfixturevalue(kind)
    url: str = server.new_namespace() if kind == "redis" else server.new_database()
    return url


def an_app(url: str | None = "memory://", **more: Any) -> Jobsworth:
    """Two queues with a task each, and one with an item."""
    jobs = Jobsworth(url, secret=SECRET, **more)
    jobs.add(Queue("mail", retry=Retry(max_attempts=3)))
    jobs.add(Queue("film"))

    @jobs.task(queue="mail")
    def send(to: str, copies: int = 1) -> str:
        """Send a letter.

        Twice if need be.
        """
        return f"{to} {copies}"

    @jobs.task(queue="film")
    def cut(name: str) -> str:
        return name

    class Pictures(QueueService):
        name = "pictures"

        def handle_item(self, item: Any) -> Any:
            return item

    jobs.add(Pictures())
    return jobs


class House:
    """An app on an engine whose clock a test turns. What runs is claimed, told and ended by hand."""

    def __init__(self, engine: Engine | None = None, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock(1_800_000_000.0)  # a full hour
        self.jobs = an_app(None, engine=engine or MemoryEngine(self.clock))
        self._urgency = 0

    def call(self, work: Callable[[Engine], Coroutine[Any, Any, Any]]) -> Any:
        """The engine's answer."""
        return self.jobs.bridge.call(work)

    def claim(self, task: str = "send") -> Claim:
        """A job of that task, held by a worker."""
        known = self.jobs.find_task(task)
        self._urgency += 1  # whatever waits from before goes after it
        new = known.options(priority=self._urgency).enqueue("ada")
        claim = self.claim_next(task)
        assert claim.lease.job_id == new.id
        return claim

    def claim_next(self, task: str = "send") -> Claim:
        """The job of that task that is next in line."""
        want = [Want(self.jobs.find_task(task).queue.name, 1, (task,), crashed=False)]
        [claim] = self.call(lambda engine: engine.turn("w", [], want, lease=1e6)).claims
        return cast(Claim, claim)

    def pulse(self, claim: Claim, progress: Progress | None = None, *lines: LogLine) -> None:
        """What the handler says meanwhile."""
        card, pulses = WorkerCard(id="w"), [Pulse(claim.lease, progress, lines)]
        self.call(lambda engine: engine.pulse(card, pulses, lease=1e6))

    def end(self, claim: Claim, outcome: Outcome = DONE, lines: tuple[LogLine, ...] = ()) -> None:
        """How the run ended."""
        ending = msgspec.structs.replace(settle(claim, outcome, Retry(max_attempts=3)), lines=lines)
        assert not self.call(lambda engine: engine.turn("w", [ending], [], lease=1e6)).refused

    def run(self, task: str = "send", took: float = 0.0, outcome: Outcome = DONE) -> None:
        """A job of that task, from beginning to end."""
        claim = self.claim(task)
        self.clock.advance(took)
        self.end(claim, outcome)


def a_site(jobs: Jobsworth | None = None, authorize: Any = ADMIN, **more: Any) -> Site:
    return Site(jobs or an_app(), authorize=authorize, **more)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def a_dead_letter(jobs: Jobsworth, task: str = "send", message: str = "no such host", kind: str = "OSError") -> str:
    """A job that was given up, made by hand."""
    job = jobs.find_task(task).new_job("ada")
    trace = 'Traceback (most recent call last):\n  File "/srv/app/letters.py", line 12, in post\n    go()\nOSError: x\n'
    failed = msgspec.structs.replace(job, failure=Failure(kind, message, "exhausted", trace))
    return jobs.store([jobs.find_task(task)], [failed])[0].id


def everything(jobs: Jobsworth) -> list[Job]:
    return jobs.bridge.call(lambda engine: engine.find(Where(limit=None)))


def state_of_the_house(jobs: Jobsworth) -> Any:
    """All that a request could have changed."""
    queues = jobs.bridge.call(lambda engine: engine.queues())
    return (
        [(job.id, job.state, job.version, job.args) for job in everything(jobs)],
        [(each.queue, each.paused) for each in queues],
    )


def paused(jobs: Jobsworth, queue: str) -> bool:
    (status,) = jobs.bridge.call(lambda engine: engine.queues([queue]))
    return status.paused


def pause(jobs: Jobsworth, queue: str) -> None:
    jobs.bridge.call(lambda engine: engine.configure(queue, QueueSettings(paused=True)))
