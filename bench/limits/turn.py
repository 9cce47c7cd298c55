"""The bare `turn` loop: settle a batch and claim the next in one transaction, each job one asyncio task, nothing else.

What the design can reach. The store conversation runs on a thread of its own (the office), the jobs in the event loop
(the shop); they exchange whole batches. The table is as wide as a real one: text ids, four partial indexes, JSON
arguments and results, state, attempt, token, times and version written.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench.noop import arguments, noop
from bench.system import System, count

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

SCHEMA = """
create table jobs(seq integer primary key, id text not null unique, queue text not null, task text not null,
  args blob not null, state text not null, priority int not null default 0, attempt int not null default 0,
  max_attempts int not null default 5, run_at real, created_at real, started_at real, finished_at real, worker text,
  token text, progress blob, result blob, failures blob, key text, owner text, meta blob, version int default 0);
create index ready on jobs(queue, priority, seq) where state = 'queued';
create index scheduled on jobs(run_at) where state = 'scheduled';
create index running on jobs(worker) where state = 'running';
create index finished on jobs(queue, finished_at) where state in ('completed', 'failed', 'cancelled');
"""
CLAIM = """
update jobs set state = 'running', attempt = attempt + 1, worker = ?, token = ?, started_at = ?, version = version + 1
where seq in (select seq from jobs where state = 'queued' and queue = ? order by priority, seq limit ?)
returning seq, id, task, args, attempt
"""
SETTLE = """
update jobs set state = ?, result = ?, finished_at = ?, version = version + 1
where seq = ? and token = ? and state = 'running'
"""

Claimed = tuple[int, bytes, str]  # seq, args, token
Ending = tuple[int, str, str, bytes]  # seq, token, state, result


class Turn(System):
    """The loop in its own process, over one SQLite file."""

    distributions = ("msgspec",)
    profiles = {"normal": "SQLite WAL, synchronous=NORMAL for turns, standard library driver, asyncio"}

    @property
    def database(self) -> Path:
        return self.home / "turn.db"

    def fill(self, jobs: int) -> None:
        connection = connect(self.database)
        connection.executescript(SCHEMA)
        now = time.time()
        rows = [(uuid.uuid4().hex, "q", "noop", encode(arguments(n)), "queued", now) for n in range(jobs)]
        connection.execute("begin immediate")
        connection.executemany("insert into jobs(id, queue, task, args, state, created_at) values(?,?,?,?,?,?)", rows)
        connection.execute("commit")
        connection.close()

    def finished(self) -> int:
        return count(self.database, "select count(*) from jobs where state = 'completed' and result is not null")

    def serve(self) -> None:
        asyncio.run(shop(self.database, self.slots))


def connect(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, isolation_level=None, cached_statements=256)
    for pragma in ("journal_mode=wal", "synchronous=normal", "busy_timeout=5000", "cache_size=-64000"):
        connection.execute(f"pragma {pragma}")
    return connection


def turn(connection: sqlite3.Connection, endings: list[Ending], want: int) -> list[Claimed]:
    """Write down `endings` and claim up to `want` jobs, in one transaction."""
    now = time.time()
    connection.execute("begin immediate")
    if endings:
        connection.executemany(SETTLE, [(state, result, now, seq, token) for seq, token, state, result in endings])
    claimed: list[Claimed] = []
    if want:
        token = uuid.uuid4().hex
        rows = connection.execute(CLAIM, ("w1", token, now, "q", want)).fetchall()
        claimed = [(seq, args, token) for seq, _id, _task, args, _attempt in rows]
    connection.execute("commit")
    return claimed


async def run(claim: Claimed, done: Callable[[Ending], None]) -> None:
    seq, args, token = claim
    try:
        values: dict[str, Any] = decode(args)
        done((seq, token, "completed", encode(await noop(**values))))
    except Exception as error:  # the job's failure, whatever it is, is its ending
        done((seq, token, "failed", encode(str(error))))


async def shop(database: Path, slots: int) -> None:
    """Run what the office brings, until the process is stopped."""
    loop = asyncio.get_running_loop()
    endings: list[Ending] = []
    wake = threading.Event()
    tasks: set[asyncio.Task[None]] = set()

    def done(ending: Ending) -> None:
        endings.append(ending)
        if not wake.is_set():
            wake.set()

    def start(batch: list[Claimed]) -> None:
        for claim in batch:
            task = loop.create_task(run(claim, done))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    def office() -> None:
        connection = connect(database)
        free = slots
        while True:
            wake.clear()
            settle = endings[:]
            del endings[: len(settle)]
            free += len(settle)
            batch = turn(connection, settle, free)
            free -= len(batch)
            if batch:
                loop.call_soon_threadsafe(start, batch)
            if not endings:
                wake.wait()

    threading.Thread(target=office, daemon=True).start()
    await asyncio.Event().wait()


SYSTEM = Turn
