"""Many browsers at once: `python -m bench.onlookers PORT BROWSERS DEAF ID...`. Each watches one of the jobs, the deaf
ones never read what comes. Says "ready" when all have their answer, ends when its input does, and says what came.
"""

from __future__ import annotations

import asyncio
import json
import sys

AT_ONCE = 50  # connections that are being made
SMALL = 4_096  # bytes a deaf one's reader takes before it stops reading


async def look(port: int, job_id: str, deaf: bool, gate: asyncio.Semaphore, seen: dict[str, int]) -> None:
    """Connect, and read until the stream ends."""
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=SMALL)
        writer.write(f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        if (await reader.readline()).split()[1] != b"200":
            raise RuntimeError("refused")
        seen["connected"] += 1
    if deaf:
        await asyncio.Event().wait()
    while text := await reader.read(SMALL):
        seen["events"] += text.count(b"event: job.changed")
        seen["ends"] += text.count(b"event: end")


async def main(port: int, browsers: int, deaf: int, ids: list[str]) -> None:
    """Until the input ends."""
    seen = {"connected": 0, "events": 0, "ends": 0}
    gate = asyncio.Semaphore(AT_ONCE)
    tasks = [asyncio.create_task(look(port, ids[n % len(ids)], n < deaf, gate, seen)) for n in range(browsers)]
    while seen["connected"] < browsers:
        for task in tasks:
            if task.done() and task.exception():
                raise RuntimeError("a browser could not connect") from task.exception()
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(seen), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(*(int(word) for word in sys.argv[1:4]), sys.argv[4:]))
