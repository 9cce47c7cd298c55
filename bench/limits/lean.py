"""The lean loop: the fastest that keeps status, result, attempt and lease. Narrow rows, integer ids, one partial index,
msgpack, the apsw driver, uvloop, claim and settle in the event loop's own thread, batches of 100.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import apsw
import msgspec
import uvloop

from bench.noop import arguments, noop
from bench.system import System, count

BATCH = 100
COMPLETED, FAILED = 2, 3

SCHEMA = """
create table if not exists jobs(id integer primary key, queue text not null, state integer not null default 0,
  priority integer not null default 0, run_at real not null default 0, attempt integer not null default 0,
  lease_until real, worker text, payload blob not null, result blob, created real, finished real);
create index if not exists ready on jobs(queue, priority desc, id) where state = 0;
"""
CLAIM = """
update jobs set state = 1, attempt = attempt + 1, lease_until = ?, worker = 'w1'
where id in (select id from jobs where queue = 'default' and state = 0 and run_at <= ?
  order by priority desc, id limit ?)
returning id, payload
"""
SETTLE = "update jobs set state = ?, result = ?, finished = ?, lease_until = null where id = ? and state = 1"


class Payload(msgspec.Struct, array_like=True):
    task: str
    arguments: dict[str, Any]


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Payload).decode
TASKS = {"noop": noop}
Ending = tuple[int, bytes, float, int]  # state, result, moment, id


class Lean(System):
    """The loop in its own process, over one SQLite file."""

    distributions = ("apsw", "msgspec", "uvloop")
    profiles = {"normal": "SQLite WAL, synchronous=NORMAL for turns, apsw, msgpack, uvloop, batches of 100"}

    @property
    def database(self) -> Path:
        return self.home / "lean.db"

    def fill(self, jobs: int) -> None:
        connection = connect(self.database)
        connection.execute(SCHEMA)
        now = time.time()
        rows = [(encode(Payload("noop", arguments(number))), now) for number in range(jobs)]
        connection.execute("begin immediate")
        connection.executemany("insert into jobs(queue, payload, created) values('default', ?, ?)", rows)
        connection.execute("commit")
        connection.close()

    def finished(self) -> int:
        query = f"select count(*) from jobs where state = {COMPLETED} and result is not null"
        return count(self.database, query)

    def serve(self) -> None:
        uvloop.run(loop(self.database, self.slots))


def connect(database: Path) -> apsw.Connection:
    connection = apsw.Connection(str(database))
    connection.set_busy_timeout(5000)
    for pragma in (
        "journal_mode=wal", "synchronous=normal", "cache_size=-65536", "wal_autocheckpoint=4000", "temp_store=memory",
    ):  # fmt: skip
        list(connection.execute(f"pragma {pragma}"))
    return connection


def turn(connection: apsw.Connection, endings: list[Ending], want: int) -> list[tuple[int, bytes]]:
    """Write down `endings` and claim up to `want` jobs, in one transaction."""
    now = time.time()
    connection.execute("begin immediate")
    if endings:
        connection.executemany(SETTLE, endings)
    claimed: list[tuple[int, bytes]] = list(connection.execute(CLAIM, (now + 60, now, want))) if want else []
    connection.execute("commit")
    return claimed


async def loop(database: Path, slots: int) -> None:
    """Claim, run, settle, until the process is stopped."""
    connection, here = connect(database), asyncio.get_running_loop()
    endings: list[Ending] = []
    running, finished = 0, asyncio.Event()

    async def run(number: int, payload: bytes) -> None:
        nonlocal running
        job = decode(payload)
        try:
            endings.append((COMPLETED, encode(await TASKS[job.task](**job.arguments)), time.time(), number))
        except Exception as error:  # the job's failure, whatever it is, is its ending
            endings.append((FAILED, encode(repr(error)), time.time(), number))
        finally:
            running -= 1
            finished.set()

    while True:
        settle, endings = endings, []
        claimed = turn(connection, settle, min(BATCH, slots - running))
        for number, payload in claimed:
            running += 1
            here.create_task(run(number, payload))
        await asyncio.sleep(0)
        if not endings:
            finished.clear()
            await finished.wait()


SYSTEM = Lean
