"""A job as the program that enqueued it holds it: ask, wait, cancel, retry. Every verb has an a-prefixed async twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import msgspec

from .bridge import Bridge
from .engine import Engine, Where
from .errors import LONGEST_WAIT, BadOption, JobCancelled, JobFailed, JobNotFound, MoveRefused, WaitTimeout
from .job import FINAL, HELD, Job, JobId, Progress, State, storable
from .lifecycle import CANCEL, REDRIVE, RUN_NOW, Move
from .logged import Logged
from .snapshot import error_line, snapshot
from .statistics import Eta, expected

R_co = TypeVar("R_co", covariant=True)
ACTIVE_SHOWN = 100  # ids of running jobs named in a snapshot
RECENT = 7 * 86_400.0  # seconds: runs of a task longer ago say little of how long it takes now
Reader = Callable[[bytes], Any]


class JobHandle(Generic[R_co]):
    """A stored job. `created` is False when its key or id was there already and this is that earlier job.

    `state`, `progress` and `attempt` tell what was last read; status(), refresh() and wait() read anew.
    """

    __slots__ = ("_bridge", "_job", "_read", "created", "id")

    def __init__(self, bridge: Bridge, job_id: JobId, read: Reader, *, created: bool = True) -> None:
        self._bridge = bridge
        self._read = read
        self._job: Job | None = None
        self.id = job_id
        self.created = created

    def __repr__(self) -> str:
        return f"<JobHandle {self.id}{f' {self._job.state.value}' if self._job else ''}>"

    @property
    def job(self) -> Job:
        """Everything the store knows, as last read (read now if never)."""
        return self._job or self._bridge.call(self._read_anew)

    @property
    def state(self) -> State:
        """Where the job stands now (read from the store)."""
        return self._bridge.call(self._read_anew).state

    @property
    def progress(self) -> Progress | None:
        """How far it has come now (read from the store)."""
        return self._bridge.call(self._read_anew).progress

    def refresh(self) -> JobHandle[R_co]:
        """Read the job anew. Raises JobNotFound (E301)."""
        self._bridge.call(self._read_anew)
        return self

    async def arefresh(self) -> JobHandle[R_co]:
        """The async twin of refresh."""
        await self._bridge.acall(self._read_anew)
        return self

    def status(self) -> dict[str, Any]:
        """The status snapshot (see jobsworth.snapshot). Raises JobNotFound."""
        return self._bridge.call(self._status)

    async def astatus(self) -> dict[str, Any]:
        """The async twin of status."""
        return await self._bridge.acall(self._status)

    def eta(self) -> Eta | None:
        """When its run may be done, going by its progress or else by earlier runs of its task; None if nobody can tell.

        Raises JobNotFound (E301).
        """
        return self._bridge.call(self._eta)

    async def aeta(self) -> Eta | None:
        """The async twin of eta."""
        return await self._bridge.acall(self._eta)

    def logs(self, after: int = 0, limit: int | None = None) -> list[Logged]:
        """What its handler has logged so far, oldest first: of each attempt the newest 200 lines.

        after: only what stands behind the place of a line that you have. limit: the newest so many of that.
        Raises JobNotFound (E301).
        """
        return self._bridge.call(lambda engine: self._logs(engine, after, limit))

    async def alogs(self, after: int = 0, limit: int | None = None) -> list[Logged]:
        """The async twin of logs."""
        return await self._bridge.acall(lambda engine: self._logs(engine, after, limit))

    def wait(self, timeout: float | None = None) -> Job:
        """Wait until the job has ended, whichever way. Raises WaitTimeout (E304) after `timeout` seconds."""
        return self._ended(self._bridge.wait(self._final, timeout), timeout)

    async def await_(self, timeout: float | None = None) -> Job:
        """The async twin of wait."""
        return self._ended(await self._bridge.await_(self._final, timeout), timeout)

    def result(self, timeout: float | None = None) -> R_co:
        """What the handler returned, waiting for it up to `timeout` seconds.

        Raises JobFailed (E302), JobCancelled (E303), WaitTimeout (E304) or JobNotFound (E301).
        """
        return self._value(self.wait(timeout))

    async def aresult(self, timeout: float | None = None) -> R_co:
        """The async twin of result."""
        return self._value(await self.await_(timeout))

    def cancel(self, reason: str | None = None, grace: float | None = None) -> bool:
        """Ask it to stop. True if that changes anything: a waiting job never starts, a running one is told.

        grace: seconds after which a child process that has not stopped is killed (else its queue's grace).
        """
        return bool(self._bridge.call(lambda engine: self._move(engine, cancelling(reason, grace))))

    async def acancel(self, reason: str | None = None, grace: float | None = None) -> bool:
        """The async twin of cancel."""
        return bool(await self._bridge.acall(lambda engine: self._move(engine, cancelling(reason, grace))))

    def retry(self) -> JobHandle[R_co]:
        """Run it again now: a finished job with a fresh budget of attempts, or one that waits for its time.

        Raises MoveRefused (E307) if it is queued or running, or if another live job holds its key.
        """
        self._bridge.call(self._retry)
        return self

    async def aretry(self) -> JobHandle[R_co]:
        """The async twin of retry."""
        await self._bridge.acall(self._retry)
        return self

    async def _read_anew(self, engine: Engine) -> Job:
        self._job = await find_one(engine, self.id)
        return self._job

    async def _final(self, engine: Engine) -> Job | None:
        job = await self._read_anew(engine)
        return job if job.state in FINAL else None

    async def _status(self, engine: Engine) -> dict[str, Any]:
        return await status_of(engine, await self._read_anew(engine))

    async def _eta(self, engine: Engine) -> Eta | None:
        return await eta_of(engine, await self._read_anew(engine))

    async def _logs(self, engine: Engine, after: int, limit: int | None) -> list[Logged]:
        lines = await engine.logs(self.id, after, limit)
        if not lines:
            await find_one(engine, self.id)  # a job that is not there is another matter than one that has said nothing
        return lines

    async def _move(self, engine: Engine, move: Move) -> list[JobId]:
        moved = await engine.move(Where(ids=(self.id,)), move)
        if not moved:
            await find_one(engine, self.id)  # a job that is not there is another matter than one that has ended
        return moved

    async def _retry(self, engine: Engine) -> None:
        job = await find_one(engine, self.id)
        move = RUN_NOW if job.state is State.SCHEDULED else REDRIVE
        if not await engine.move(Where(ids=(self.id,)), move):
            job = await find_one(engine, self.id)
            why = f"another live job holds its key {job.key!r}" if job.state in FINAL else f"it is {job.state.value}"
            raise MoveRefused(f"job {self.id} cannot be tried again: {why}")

    def _ended(self, job: Job | None, timeout: float | None) -> Job:
        if job is None:
            raise WaitTimeout(
                f"job {self.id} has not ended within {timeout} s (it goes on)",
                hint="is a worker running for its queue? `jobsworth status` shows",
            )
        return job

    def _value(self, job: Job) -> R_co:
        if job.state is State.FAILED:
            raise JobFailed(
                f"job {job.id} ({job.task}) was given up after attempt {job.attempt}: {error_line(job.failure)}",
                hint=f"jobsworth show {job.id}",
                failure=job.failure,
            )
        if job.state is State.CANCELLED:
            raise JobCancelled(f"job {job.id} ({job.task}) was cancelled: {error_line(job.failure)}")
        value: Any = self._read(job.result) if job.result is not None else None
        return cast(R_co, value)


async def find_one(engine: Engine, job_id: JobId, queue: str | None = None) -> Job:
    """The job of that id (in that queue, if one is named). Raises JobNotFound (E301)."""
    found = await engine.find(Where(ids=(job_id,), queue=queue))
    if not found:
        place = f" in queue {queue!r}" if queue else ""
        raise JobNotFound(
            f"there is no job {job_id!r}{place}", hint="finished jobs are removed after their queue's `keep`"
        )
    return found[0]


async def status_of(engine: Engine, job: Job, *, accepted: bool = True) -> dict[str, Any]:
    """The snapshot of a job with its queue's load."""
    (queue,) = await engine.queues([job.queue], brief=True)
    held = Where(queue=job.queue, states=tuple(HELD), limit=ACTIVE_SHOWN, newest_first=False)
    active = [each.id for each in await engine.find(held)]
    return snapshot(job, queue, active, accepted=accepted)


async def eta_of(engine: Engine, job: Job) -> Eta | None:
    """When a job's run may be done; None if it does not run, or nobody can tell."""
    if job.state is not State.RUNNING:
        return None
    return expected(job, await engine.statistics(RECENT, RECENT, queue=job.queue, task=job.task))


def cancelling(reason: str | None, grace: float | None = None) -> Move:
    """The move that asks a job to stop. Raises BadOption (E105)."""
    if grace is not None and not 0 <= grace <= LONGEST_WAIT:
        raise BadOption(f"grace must be a number of seconds of at least 0, not {grace!r}")
    return msgspec.structs.replace(CANCEL, reason=None if reason is None else storable(reason), grace=grace)
