"""Dead letters: jobs that were given up, kept for a person. List, inspect, redrive, discard, and push by hand."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from .bridge import Bridge
from .engine import Engine, Where
from .errors import BadOption, JobNotFound
from .handle import find_one
from .job import Failure, Job, JobId, NewJob, State
from .lifecycle import REDRIVE, Move
from .queue import QueueService
from .task import Task

T = TypeVar("T")
_DEAD = (State.FAILED,)
# The verb `list` below would otherwise hide the type inside the class.
Ids = list[JobId]
Jobs = list[Job]
Work = Callable[[Engine], Coroutine[Any, Any, T]]


class DeadLetters:
    """The dead letters of one queue, or of all. Every verb has an a-prefixed async twin.

    Filters are those of Where: ids, task, tag, owner, key, text, reason, finished_for, finished_within, limit...
    """

    def __init__(self, bridge: Bridge, find_task: Callable[[str], Task[..., Any]], queue: str | None = None) -> None:
        self._bridge = bridge
        self._find_task = find_task
        self._queue = queue

    def list(self, **filters: Any) -> Jobs:
        """The newest dead letters, at most 100 unless `limit` says otherwise."""
        return self._bridge.call(self._list(filters))

    async def alist(self, **filters: Any) -> Jobs:
        """The async twin of list."""
        return await self._bridge.acall(self._list(filters))

    def count(self, **filters: Any) -> int:
        """How many there are."""
        where = self._where(filters)
        return self._bridge.call(lambda engine: engine.count(where))

    async def acount(self, **filters: Any) -> int:
        """The async twin of count."""
        where = self._where(filters)
        return await self._bridge.acall(lambda engine: engine.count(where))

    def get(self, job_id: JobId) -> Job:
        """One dead letter whole: every attempt with its traceback, and the argument bytes as they were enqueued.

        Raises JobNotFound (E301) if there is no dead letter of that id.
        """
        return self._bridge.call(self._get(job_id))

    async def aget(self, job_id: JobId) -> Job:
        """The async twin of get."""
        return await self._bridge.acall(self._get(job_id))

    def redrive(
        self,
        *ids: JobId,
        arguments: dict[str, Any] | tuple[Any, ...] | None = None,
        rate: float | None = None,
        dry_run: bool = False,
        **filters: Any,
    ) -> Ids:
        """Run them again with a fresh budget; returns the ids redriven (or, dry, those that would be).

        arguments: new ones for a single job, checked against its task.  rate: jobs per second at most, by spreading
        their start.  A job whose key another live job holds is left alone.
        """
        return self._bridge.call(self._redrive(ids, arguments, rate, dry_run, filters))

    async def aredrive(
        self,
        *ids: JobId,
        arguments: dict[str, Any] | tuple[Any, ...] | None = None,
        rate: float | None = None,
        dry_run: bool = False,
        **filters: Any,
    ) -> Ids:
        """The async twin of redrive."""
        return await self._bridge.acall(self._redrive(ids, arguments, rate, dry_run, filters))

    def discard(self, *ids: JobId, dry_run: bool = False, **filters: Any) -> int:
        """Delete them for good; returns how many (or, dry, how many it would be)."""
        return self._bridge.call(self._discard(ids, dry_run, filters))

    async def adiscard(self, *ids: JobId, dry_run: bool = False, **filters: Any) -> int:
        """The async twin of discard."""
        return await self._bridge.acall(self._discard(ids, dry_run, filters))

    def push(self, queue: str | QueueService | Task[..., Any], item: Any, error: BaseException | str) -> JobId:
        """Make a dead letter by hand, for work that failed outside a job; redriving it runs it as a job.

        queue: a QueueService (or its name), or a task.  item: its item; for a task a tuple or dict of arguments.
        """
        job = self._letter(queue, item, error)
        return self._bridge.enqueue([job])[0].id

    async def apush(self, queue: str | QueueService | Task[..., Any], item: Any, error: BaseException | str) -> JobId:
        """The async twin of push."""
        job = self._letter(queue, item, error)
        return (await self._bridge.aenqueue([job]))[0].id

    def _where(self, filters: dict[str, Any], ids: Sequence[JobId] = ()) -> Where:
        if "states" in filters:
            raise BadOption("dead letters are always in state failed")
        try:
            where = Where(states=_DEAD, queue=self._queue, **filters)
        except TypeError as exc:
            raise BadOption(f"dead letters cannot be chosen that way: {exc}") from exc
        return msgspec.structs.replace(where, ids=tuple(ids)) if ids else where

    def _list(self, filters: dict[str, Any]) -> Work[Jobs]:
        where = self._where(filters)
        return lambda engine: engine.find(where)

    def _get(self, job_id: JobId) -> Work[Job]:
        async def get(engine: Engine) -> Job:
            job = await find_one(engine, job_id, self._queue)
            if job.state is not State.FAILED:
                raise JobNotFound(f"job {job_id!r} is {job.state.value}, not a dead letter")
            return job

        return get

    def _redrive(
        self, ids: Sequence[JobId], arguments: Any, rate: float | None, dry_run: bool, filters: dict[str, Any]
    ) -> Work[Ids]:
        if rate is not None and rate <= 0:
            raise BadOption(f"rate must be above 0 jobs per second, not {rate!r}")
        if arguments is not None and len(ids) != 1:
            raise BadOption("new arguments are for one job: name its id")
        if not ids:
            filters = {"limit": None, **filters}
        where = self._where({**filters, "newest_first": False}, ids)

        async def redrive(engine: Engine) -> Ids:
            found = await engine.find(where)
            if dry_run:
                return [job.id for job in found]
            move = REDRIVE
            if arguments is not None and found:
                move = msgspec.structs.replace(move, args=self._packed(found[0].task, arguments))
            if rate is None:
                return await engine.move(msgspec.structs.replace(where, ids=tuple(job.id for job in found)), move)
            return await redrive_slowly(engine, [job.id for job in found], rate, move)

        return redrive

    def _discard(self, ids: Sequence[JobId], dry_run: bool, filters: dict[str, Any]) -> Work[int]:
        where = self._where(filters if ids else {"limit": None, **filters}, ids)

        async def discard(engine: Engine) -> int:
            return await (engine.count(where) if dry_run else engine.delete(where))

        return discard

    def _packed(self, task: str, arguments: Any) -> bytes:
        signature = self._find_task(task).signature
        return signature.pack((), arguments) if isinstance(arguments, dict) else signature.pack(tuple(arguments), {})

    def _letter(self, queue: str | QueueService | Task[..., Any], item: Any, error: BaseException | str) -> NewJob:
        if isinstance(queue, str):
            task = self._find_task(queue)
        else:
            task = queue.task if isinstance(queue, QueueService) else queue
        if isinstance(task.queue, QueueService) and task.queue.task is task:
            job = task.new_job(item)
        else:
            job = task.new_job(**item) if isinstance(item, dict) else task.new_job(*item)
        if isinstance(error, BaseException):
            failure = Failure(type(error).__qualname__, str(error), "pushed")
        else:
            failure = Failure("Pushed", error, "pushed")
        return msgspec.structs.replace(job, failure=failure)


async def redrive_slowly(engine: Engine, ids: Ids, rate: float, move: Move = REDRIVE) -> Ids:
    """Redrive dead letters in this order, `rate` of them per second; returns the ids redriven."""
    moved: Ids = []
    for job_id in ids:
        later = msgspec.structs.replace(move, delay=len(moved) / rate)
        moved += await engine.move(Where(ids=(job_id,), states=_DEAD), later)
    return moved
