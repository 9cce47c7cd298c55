"""The lean loop for stores behind a wire: while one batch settles and the next is claimed, the one before runs.

Up to two batches of `slots` jobs are held at once: one running, one on its way.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgspec

from bench.noop import noop

COMPLETED, FAILED = 2, 3


class Payload(msgspec.Struct, array_like=True):
    task: str
    arguments: dict[str, Any]


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Payload).decode
TASKS = {"noop": noop}
Ending = tuple[Any, int, bytes]  # id, state, result


class Store(Protocol):
    async def step(self, endings: list[Ending], want: int) -> list[tuple[Any, bytes]]:
        """Write down the endings, claim up to `want`: ids and payloads. All in one go."""


async def work_ahead(store: Store, slots: int) -> None:
    """Claim, run, settle, until the process is stopped."""
    here, finished = asyncio.get_running_loop(), asyncio.Event()
    endings: list[Ending] = []
    tasks: set[asyncio.Task[None]] = set()

    async def run(job: Any, payload: bytes) -> None:
        try:
            todo = decode(payload)
            endings.append((job, COMPLETED, encode(await TASKS[todo.task](**todo.arguments))))
        except Exception as error:  # the job's failure, whatever it is, is its ending
            endings.append((job, FAILED, encode(repr(error))))
        finished.set()

    claimed = await store.step([], slots)
    while True:
        settle, endings = endings, []
        coming = here.create_task(store.step(settle, slots))
        await asyncio.sleep(0)  # the request is on the wire before the handlers start
        for job, payload in claimed:
            task = here.create_task(run(job, payload))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        claimed = await coming
        if not claimed and not endings:
            finished.clear()
            await finished.wait()
