"""The bare `turn` loop on PostgreSQL: settle a batch and claim the next in one pipelined transaction, each job one
asyncio task, nothing else. The table is as wide as a real one. psycopg 3, uvloop, synchronous_commit on.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import msgspec
import psycopg

from bench.noop import arguments, noop
from bench.servers import execute, url
from bench.system import System

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

SCHEMA = """
create table jobs(seq bigserial primary key, id uuid unique not null, queue text not null, task text not null,
  args bytea not null, state text not null, priority int not null default 0, attempt int not null default 0,
  run_at timestamptz, created_at timestamptz default now(), started_at timestamptz, finished_at timestamptz,
  worker text, token text, result bytea, version int default 0) with (fillfactor = 70);
create index on jobs(queue, priority, seq) where state = 'queued';
create index on jobs(worker) where state = 'running';
"""
INSERT = """
insert into jobs(id, queue, task, args, state)
select i, 'q', 'noop', a, 'queued' from unnest(%s::uuid[], %s::bytea[]) as x(i, a)
"""
SETTLE = """
update jobs set state = s.state, result = s.result, finished_at = clock_timestamp(), token = null, version = version + 1
from unnest(%s::bigint[], %s::text[], %s::text[], %s::bytea[]) as s(seq, token, state, result)
where jobs.seq = s.seq and jobs.token = s.token
"""
CLAIM = """
with c as (select seq from jobs where state = 'queued' and queue = 'q' order by priority, seq limit %s
  for update skip locked)
update jobs set state = 'running', attempt = attempt + 1, worker = 'w', token = %s, started_at = clock_timestamp(),
  version = version + 1
from c where jobs.seq = c.seq returning jobs.seq, jobs.id, task, args, attempt
"""
CHUNK = 1_000
Ending = tuple[int, str, str, bytes]  # seq, token, state, result


class Turn(System):
    """The loop in its own process."""

    distributions = ("psycopg", "msgspec", "uvloop")
    profiles = {"normal": "one pipelined transaction per turn, psycopg, uvloop"}

    def fill(self, jobs: int) -> None:
        with psycopg.connect(url(), autocommit=True) as connection:
            connection.execute(SCHEMA)
            for start in range(0, jobs, CHUNK):
                some = range(start, min(jobs, start + CHUNK))
                connection.execute(INSERT, ([uuid.uuid4() for _ in some], [encode(arguments(n)) for n in some]))

    def finished(self) -> int:
        return execute("select count(*) from jobs where state = 'completed' and result is not null")

    def serve(self) -> None:
        import uvloop

        uvloop.run(loop(self.slots))


async def turn(connection: Any, endings: list[Ending], want: int, token: str) -> list[tuple[Any, ...]]:
    """Write down `endings` and claim up to `want` jobs, in one transaction and one round trip."""
    async with connection.pipeline(), connection.transaction():
        if endings:
            await connection.execute(SETTLE, [list(column) for column in zip(*endings, strict=True)], binary=True)
        claimed = await connection.execute(CLAIM, (want, token), binary=True)
    rows: list[tuple[Any, ...]] = await claimed.fetchall()
    return rows


async def loop(slots: int) -> None:
    """Claim, run, settle, until the process is stopped."""
    connection = await psycopg.AsyncConnection.connect(url(), autocommit=True)
    here, finished = asyncio.get_running_loop(), asyncio.Event()
    endings: list[Ending] = []
    tasks: set[asyncio.Task[None]] = set()
    free = slots

    async def run(seq: int, args: bytes, token: str) -> None:
        try:
            endings.append((seq, token, "completed", encode(await noop(**decode(args)))))
        except Exception as error:  # the job's failure, whatever it is, is its ending
            endings.append((seq, token, "failed", encode(str(error))))
        finished.set()

    while True:
        settle = endings[:]
        del endings[: len(settle)]
        free += len(settle)
        token = uuid.uuid4().hex
        for seq, _id, _task, args, _attempt in await turn(connection, settle, free, token):
            free -= 1
            task = here.create_task(run(seq, args, token))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(0)
        if not endings:
            finished.clear()
            await finished.wait()


SYSTEM = Turn
