"""The lean loop on Redis: a payload in a string of its own, ready ids in a list, one sorted set of leases, state and
result in one string written at the end. One script per step, variadic commands, msgpack, redis-py with hiredis, uvloop,
claiming ahead while settling.
"""

from __future__ import annotations

import time
from typing import Any

import redis
import redis.asyncio
import uvloop

from bench.limits.ahead import Ending, Payload, encode, work_ahead
from bench.noop import arguments
from bench.servers import command, url
from bench.system import System

# KEYS: ready list, leases, prefix.
# ARGV: now, lease, want, number of endings, seconds a result stays, then id, state and result of each ending.
STEP = """
local now, lease, want, n, stay = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
if n > 0 then
  local ids, gone, p = {}, {}, 6
  for i = 1, n do ids[i] = ARGV[p]; p = p + 3 end
  local held = redis.call('ZMSCORE', KEYS[2], unpack(ids))
  p = 6
  for i = 1, n do
    if held[i] then
      redis.call('SET', KEYS[3] .. 'r:' .. ARGV[p], ARGV[p + 1] .. now .. ARGV[p + 2], 'EX', stay)
      gone[#gone + 1] = KEYS[3] .. ARGV[p]
    end
    p = p + 3
  end
  redis.call('ZREM', KEYS[2], unpack(ids))
  if #gone > 0 then redis.call('DEL', unpack(gone)) end
end
if want > 0 then
  local ids = redis.call('RPOP', KEYS[1], want)
  if ids then
    local keys, leases, till = {}, {}, now + lease
    for i = 1, #ids do keys[i] = KEYS[3] .. ids[i]; leases[2 * i - 1] = till; leases[2 * i] = ids[i] end
    redis.call('ZADD', KEYS[2], unpack(leases))
    return {ids, redis.call('MGET', unpack(keys))}
  end
end
return {}
"""
READY, LEASES, PREFIX = KEYS = ("{lean}:ready", "{lean}:leases", "{lean}:j:")
CHUNK = 1_000


class Lean(System):
    """The loop in its own process."""

    distributions = ("redis", "hiredis", "msgspec", "uvloop")
    profiles = {"normal": "msgpack, hiredis, uvloop, batches as large as its slots, the next claimed while one settles"}

    def fill(self, jobs: int) -> None:
        with redis.Redis.from_url(url()) as client:
            for start in range(0, jobs, CHUNK):
                some = {f"{number:012x}": encode(Payload("noop", arguments(number)))
                        for number in range(start, min(jobs, start + CHUNK))}  # fmt: skip
                client.mset({PREFIX + job: payload for job, payload in some.items()})
                client.lpush(READY, *some)

    def finished(self) -> int:
        """Every key but the list and the leases, which are gone at the end, is a result."""
        left = command("EXISTS", READY) + command("EXISTS", LEASES)
        waiting = command("LLEN", READY) + command("ZCARD", LEASES)
        return int(command("DBSIZE") - left - waiting)

    def serve(self) -> None:
        uvloop.run(serve(self.slots))


class Store:
    def __init__(self, client: Any) -> None:
        self._step = client.register_script(STEP)

    async def step(self, endings: list[Ending], want: int) -> list[tuple[Any, bytes]]:
        said: list[Any] = [round(time.time() * 1000), 60_000, want, len(endings), 3_600]
        for ending in endings:
            said += ending
        claimed = await self._step(keys=KEYS, args=said)
        return list(zip(*claimed, strict=True)) if claimed else []


async def serve(slots: int) -> None:
    await work_ahead(Store(redis.asyncio.Redis.from_url(url())), slots)


SYSTEM = Lean
