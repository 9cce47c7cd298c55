"""The bare `turn` loop on Redis: settle a batch and claim the next in one Lua script, each job one asyncio task,
nothing else. A hash per job with state, token, attempt and times; redis-py with hiredis, uvloop.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import msgspec
import redis
import redis.asyncio

from bench.noop import arguments, noop
from bench.servers import command, url
from bench.system import System

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

TURN = """
local ns, n, tok, want = KEYS[1], tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local i = 4
for k = 1, n do
  local id, tk, st, res = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  i = i + 4
  local key = ns .. ':j:' .. id
  if redis.call('HGET', key, 'token') == tk then
    redis.call('HSET', key, 'state', st, 'result', res, 'fin', now, 'token', '')
    redis.call('ZREM', ns .. ':run', id)
    redis.call('ZADD', ns .. ':fin', now, id)
    redis.call('HINCRBY', ns .. ':count', st, 1)
  end
end
local out = {}
if want > 0 then
  local ids = redis.call('ZPOPMIN', ns .. ':q:q', want)
  for k = 1, #ids, 2 do
    local id = ids[k]
    local key = ns .. ':j:' .. id
    local att = redis.call('HINCRBY', key, 'attempt', 1)
    redis.call('HSET', key, 'state', 'running', 'token', tok, 'start', now)
    redis.call('ZADD', ns .. ':run', now + 30000, id)
    local v = redis.call('HMGET', key, 'task', 'args')
    out[#out + 1] = {id, v[1], v[2], att}
  end
end
return out
"""
ADD = """
local ns, n, i = KEYS[1], tonumber(ARGV[1]), 2
local base = redis.call('INCRBY', ns .. ':seq', n) - n
for k = 1, n do
  redis.call('HSET', ns .. ':j:' .. ARGV[i], 'task', ARGV[i + 1], 'args', ARGV[i + 2], 'state', 'queued',
    'attempt', 0, 'created', 0)
  redis.call('ZADD', ns .. ':q:q', base + k, ARGV[i])
  i = i + 3
end
"""
NAMESPACE, CHUNK = "{turn}", 500


class Turn(System):
    """The loop in its own process."""

    distributions = ("redis", "hiredis", "msgspec", "uvloop")
    profiles = {"normal": "one script per turn, redis-py with hiredis, uvloop"}

    def fill(self, jobs: int) -> None:
        with redis.Redis.from_url(url()) as client:
            add = client.register_script(ADD)
            for start in range(0, jobs, CHUNK):
                some = range(start, min(jobs, start + CHUNK))
                rows = [(uuid.uuid4().hex, "noop", encode(arguments(number))) for number in some]
                add(keys=[NAMESPACE], args=[len(rows), *(value for row in rows for value in row)])

    def finished(self) -> int:
        return int(command("HGET", f"{NAMESPACE}:count", "completed") or 0)

    def serve(self) -> None:
        import uvloop

        uvloop.run(loop(self.slots))


async def loop(slots: int) -> None:
    """Claim, run, settle, until the process is stopped."""
    turn = redis.asyncio.Redis.from_url(url()).register_script(TURN)
    here, finished = asyncio.get_running_loop(), asyncio.Event()
    endings: list[tuple[bytes, str, str, bytes]] = []
    tasks: set[asyncio.Task[None]] = set()
    free = slots

    async def run(job: bytes, args: bytes, token: str) -> None:
        try:
            endings.append((job, token, "completed", encode(await noop(**decode(args)))))
        except Exception as error:  # the job's failure, whatever it is, is its ending
            endings.append((job, token, "failed", encode(str(error))))
        finished.set()

    while True:
        settle = endings[:]
        del endings[: len(settle)]
        free += len(settle)
        token = uuid.uuid4().hex
        said: list[Any] = [len(settle), token, free, *(value for ending in settle for value in ending)]
        claimed: Any = await turn(keys=[NAMESPACE], args=said)
        for job, _task, args, _attempt in claimed:
            free -= 1
            task = here.create_task(run(job, args, token))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if claimed:
            await asyncio.sleep(0)
        if not endings:
            finished.clear()
            await finished.wait()


SYSTEM = Turn
