"""A job as the program that enqueued it holds it: ask, wait, cancel, retry. Every verb has an a-prefixed async twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import msgspec

from .bridge import Bridge
from .engine import RATE_WINDOW, Engine, Place, Where
from .errors import (
    LONGEST_WAIT,
    BadOption,
    EngineUnavailable,
    JobCancelled,
    JobFailed,
    JobNotFound,
    MoveRefused,
    WaitTimeout,
)
from .job import FINAL, HELD, LIVE, Job, JobId, Progress, State, storable
from .lifecycle import CANCEL, REDRIVE, RUN_NOW, Move
from .logged import Logged
from .snapshot import error_line, snapshot
from .statistics import FEW_RUNS, Eta, Statistics, expected
from .tokens import Tokens
from .why import START, Scene, Why, explain, unreachable

R_co = TypeVar("R_co", covariant=True)
ACTIVE_SHOWN = 100  # ids of running jobs named in a snapshot
LOOKED_AT = 500  # running jobs that are looked at to say why another one waits
# Seconds: runs of a task longer ago say little of how long it takes now. The last hours are asked for first: they say
# most, and are read most quickly.
LATELY, RECENT = 6 * 3_600.0, 7 * 86_400.0
Reader = Callable[[bytes], Any]


class JobHandle(Generic[R_co]):
    """A stored job. `created` is False when its key or id was there already and this is that earlier job.

    `state`, `progress` and `attempt` tell what was last read; status(), refresh() and wait() read anew.
    """

    __slots__ = ("_bridge", "_job", "_read", "_tokens", "created", "id")

    def __init__(self, bridge: Bridge, job_id: JobId, read: Reader, tokens: Tokens, *, created: bool = True) -> None:
        self._bridge = bridge
        self._read = read
        self._tokens = tokens
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

    def why(self, *, start: str = START) -> Why:
        """Why it is not running, or what it does instead (see jobsworth.why). Raises JobNotFound.

        An engine that does not answer is a finding too. start: the command the findings name for starting a worker.
        """
        try:
            return self._bridge.call(lambda engine: why_of(engine, self.id, start))
        except EngineUnavailable as exc:
            return unreachable(self.id, exc)

    async def awhy(self, *, start: str = START) -> Why:
        """The async twin of why."""
        try:
            return await self._bridge.acall(lambda engine: why_of(engine, self.id, start))
        except EngineUnavailable as exc:
            return unreachable(self.id, exc)

    def token(self, lifetime: float = 3600) -> str:
        """A signed word for the browser of whom it concerns: its holder may see and cancel this one job over HTTP.

        lifetime: seconds until it ends. Raises SecretMissing (E114) or ExtraMissing (E115). No I/O.
        """
        return self._tokens.sign(self.id, lifetime)

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
        timeout = self._bridge.patience if timeout is None else timeout
        return self._ended(self._bridge.wait(self._final, timeout), timeout)

    async def await_(self, timeout: float | None = None) -> Job:
        """The async twin of wait."""
        timeout = self._bridge.patience if timeout is None else timeout
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
        await run_again(engine, self.id)

    def _ended(self, job: Job | None, timeout: float | None) -> Job:
        if job is None:
            raise WaitTimeout(f"job {self.id} has not ended within {timeout} s (it goes on)", hint=self._bridge.advice)
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


async def run_again(engine: Engine, job_id: JobId, args: bytes | None = None) -> None:
    """Put a job back in line: one that has ended, with new arguments if there are any, or one that waits for its time.

    Raises JobNotFound (E301) or MoveRefused (E307).
    """
    job = await find_one(engine, job_id)
    move = RUN_NOW if job.state is State.SCHEDULED and args is None else REDRIVE
    if not await engine.move(Where(ids=(job_id,)), msgspec.structs.replace(move, args=args)):
        job = await find_one(engine, job_id)
        why = f"another live job holds its key {job.key!r}" if job.state in FINAL else f"it is {job.state.value}"
        raise MoveRefused(f"job {job_id} cannot be tried again: {why}")


async def status_of(engine: Engine, job: Job, *, accepted: bool = True) -> dict[str, Any]:
    """The snapshot of a job with its queue's load."""
    (queue,) = await engine.queues([job.queue], brief=True)
    held = Where(queue=job.queue, states=tuple(HELD), limit=ACTIVE_SHOWN, newest_first=False)
    active = [each.id for each in await engine.find(held)]
    return snapshot(job, queue, active, accepted=accepted)


async def why_of(engine: Engine, job_id: JobId, start: str = START) -> Why:
    """Why a job is not running. Raises JobNotFound (E301)."""
    job, place = await _at_one_moment(engine, job_id)
    (queue,) = await engine.queues([job.queue], brief=True)
    workers = await engine.workers()
    scene = Scene(job=job, now=place.now, ahead=place.ahead, queue=queue, workers=workers)
    if job.state in FINAL:
        if job.key is not None:
            key = Where(task=job.task, key=job.key, states=tuple(LIVE), limit=1)
            scene = msgspec.structs.replace(scene, rival=next(iter(await engine.find(key)), None))
    elif job.state not in HELD:
        held = Where(states=tuple(HELD), limit=LOOKED_AT, newest_first=False)
        ended = await engine.count(Where(queue=job.queue, finished_within=RATE_WINDOW))
        crashed = [each for each in await engine.find(held) if each.crashes] if job.crashes else []
        scene = msgspec.structs.replace(
            scene, crashed=crashed, queue=msgspec.structs.replace(queue, out_rate=ended),
            holders=await engine.find(msgspec.structs.replace(held, queue=job.queue)),
        )  # fmt: skip
    return explain(scene, start)


async def _at_one_moment(engine: Engine, job_id: JobId) -> tuple[Job, Place]:
    """A job and its place, looked at again if it went on between the two looks."""
    place, job = await engine.place(job_id), await find_one(engine, job_id)
    for _ in range(3):  # a damaged row, shown as failed wherever it stands, never agrees with its place
        if place is not None and (place.ahead is not None) is (job.state is State.QUEUED):
            break
        place, job = await engine.place(job_id), await find_one(engine, job_id)
    if place is None:
        raise JobNotFound(f"job {job_id} comes and goes", hint="ask again")
    return job, place


async def eta_of(engine: Engine, job: Job) -> Eta | None:
    """When a job's run may be done; None if it does not run, or nobody can tell."""
    if job.state is not State.RUNNING:
        return None
    return expected(job, await runs_of(engine, job.queue, job.task))


async def runs_of(engine: Engine, queue: str, task: str) -> Statistics:
    """How a task's runs ended lately, or within a week where that is too little to go by."""
    found = await engine.statistics(LATELY, LATELY, queue=queue, task=task)
    if sum(each.completed for each in found.tallies) >= FEW_RUNS:
        return found
    return await engine.statistics(RECENT, RECENT, queue=queue, task=task)


def cancelling(reason: str | None, grace: float | None = None) -> Move:
    """The move that asks a job to stop. Raises BadOption (E105)."""
    if grace is not None and not 0 <= grace <= LONGEST_WAIT:
        raise BadOption(f"grace must be a number of seconds of at least 0, not {grace!r}")
    return msgspec.structs.replace(CANCEL, reason=None if reason is None else storable(reason), grace=grace)


def where_from(filters: dict[str, Any]) -> Where:
    """What a person looks for, as a selector. Raises BadOption (E105)."""
    states = filters.pop("state", filters.pop("states", None))
    if states is not None:
        names = [states] if isinstance(states, str) else list(states)
        try:
            filters["states"] = tuple(State(name) for name in names)
        except ValueError as exc:
            raise BadOption(str(exc), hint=f"states are {', '.join(State)}") from exc
    if "ids" in filters:
        filters["ids"] = tuple(filters["ids"])
    try:
        return Where(**filters)
    except TypeError as exc:
        raise BadOption(f"jobs cannot be found that way: {exc}") from exc
