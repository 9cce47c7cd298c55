"""The lean loop on PostgreSQL: the payload apart from the queue. A narrow table of ready ids, one row of claims per
batch as its lease, the job's own row written once when it ends. asyncpg, msgpack, uvloop, claiming ahead.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import psycopg
import uvloop

from bench.limits.ahead import COMPLETED, Ending, Payload, encode, work_ahead
from bench.noop import arguments
from bench.servers import execute, url
from bench.system import System

SCHEMA = """
create table jobs(id bigint generated always as identity primary key, queue text not null,
  state smallint not null default 0, attempt smallint not null default 0, payload bytea not null, result bytea,
  created timestamptz not null default now(), finished timestamptz) with (fillfactor = 70);
create table ready(queue text not null, priority smallint not null default 0, id bigint not null,
  primary key(queue, priority, id));
create table claims(id bigint generated always as identity primary key, worker text,
  lease_until timestamptz not null, job_ids bigint[] not null);
"""
FILL = """
with added as (insert into jobs(queue, payload) select 'default', p from unnest(%s::bytea[]) p returning id)
insert into ready(queue, id) select 'default', id from added
"""
STEP = """
with held as (select id from claims where id = any($5::bigint[])),
  settled as (update jobs set state = u.s, result = u.r, finished = now(), attempt = attempt + 1
    from unnest($1::bigint[], $2::bytea[], $4::smallint[], $6::bigint[]) as u(id, r, s, c)
    where jobs.id = u.id and u.c in (select id from held) and jobs.state = 0 returning 1),
  released as (delete from claims where id = any($7::bigint[]) returning 1),
  taken as (delete from ready using (select queue, priority, id from ready where queue = 'default'
      order by priority, id limit $3 for update skip locked) s
    where ready.queue = s.queue and ready.priority = s.priority and ready.id = s.id returning ready.id),
  leased as (insert into claims(worker, lease_until, job_ids)
    select 'w1', now() + interval '60 s', array_agg(id) from taken having count(*) > 0 returning id)
select jobs.id, jobs.payload, leased.id from jobs join taken on jobs.id = taken.id, leased
"""
CHUNK = 1_000


class Lean(System):
    """The loop in its own process."""

    distributions = ("asyncpg", "msgspec", "uvloop")
    profiles = {"normal": "asyncpg, msgpack, uvloop, batches as large as its slots, the next claimed while one settles"}

    def fill(self, jobs: int) -> None:
        with psycopg.connect(url(), autocommit=True) as connection:
            connection.execute(SCHEMA)
            for start in range(0, jobs, CHUNK):
                some = range(start, min(jobs, start + CHUNK))
                connection.execute(FILL, ([encode(Payload("noop", arguments(number))) for number in some],))

    def finished(self) -> int:
        return execute(f"select count(*) from jobs where state = {COMPLETED} and result is not null")

    def serve(self) -> None:
        uvloop.run(serve(self.slots))


class Store:
    """Knows which claim each job belongs to; a claim is released with the last of its jobs."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._open: dict[int, int] = {}
        self._claim_of: dict[int, int] = {}

    async def step(self, endings: list[Ending], want: int) -> list[tuple[Any, bytes]]:
        claims = [self._claim_of.pop(ending[0]) for ending in endings]
        for claim in claims:
            self._open[claim] -= 1
        over = [claim for claim in set(claims) if not self._open[claim]]
        for claim in over:
            del self._open[claim]
        ids, states, results = ([ending[place] for ending in endings] for place in range(3))
        rows = await self._connection.fetch(STEP, ids, results, want, states, list(set(claims)), claims, over)
        if rows:
            self._open[rows[0][2]] = len(rows)
            self._claim_of.update((row[0], row[2]) for row in rows)
        return [(row[0], row[1]) for row in rows]


async def serve(slots: int) -> None:
    await work_ahead(Store(await asyncpg.connect(url())), slots)


SYSTEM = Lean
