"""The least that must happen between two processes and their server before a handler can start: the job is stored and
somebody is told, who takes it. No leases, no attempts, no results. How long this takes is the machine's doing.

    python -m bench.limits.knock      (the process that takes; `put` is for the one that stores)
"""

from __future__ import annotations

from bench.noop import tick
from bench.servers import store, url

TABLE = "create table if not exists knocks (id bigserial primary key, number bigint, taken boolean default false)"
PUT = "with put as (insert into knocks (number) values (%s)) select pg_notify('knock', '')"
TAKE = (
    "update knocks set taken = true where id in "
    "(select id from knocks where not taken order by id limit 4 for update skip locked) returning number"
)
NEW, HELD = "{knock}:new", "{knock}:held"


def prepare() -> None:
    """Make what is not there."""
    if store() == "postgres":
        import psycopg

        with psycopg.connect(url(), autocommit=True) as line:
            line.execute(TABLE)


class Putter:
    """Stores numbers on a connection of its own, one commit each."""

    def __init__(self) -> None:
        if store() == "postgres":
            import psycopg

            self._line = psycopg.connect(url(), autocommit=True)
        else:
            import redis

            self._redis = redis.Redis.from_url(url())

    def put(self, number: int) -> None:
        """Store one and tell."""
        if store() == "postgres":
            self._line.execute(PUT, (number,))
        else:
            self._redis.lpush(NEW, number)


def take_from_postgres() -> None:
    """Claim whenever something was told."""
    import psycopg

    with psycopg.connect(url(), autocommit=True) as line:
        line.execute("listen knock")
        while True:
            for (number,) in line.execute(TAKE).fetchall():
                tick(number)
            for _ in line.notifies(timeout=1, stop_after=1):
                continue


def take_from_redis() -> None:
    """Move one from list to list as soon as there is one."""
    import redis

    line = redis.Redis.from_url(url())
    while True:
        number = line.blmove(NEW, HELD, 1)
        if number is not None:
            tick(int(number))


if __name__ == "__main__":
    prepare()
    (take_from_postgres if store() == "postgres" else take_from_redis)()
