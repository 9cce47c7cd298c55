"""The program of test_ledger.py: a shop whose orders and jobs, and whose payments and completions, commit together.

Run as a script it is a worker or a customer, in a process of its own: `python ledger_app.py customer '{"count": 100}'`.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from pathlib import Path
from typing import Any

import program
from program import PATIENT, Ledger

from jobsworth import CurrentJob, Jobsworth, Queue

TABLES = ("CREATE TABLE orders (job text NOT NULL)", "CREATE TABLE payments (job text NOT NULL, attempt integer)")


def connect(url: str) -> Any:
    """The user's own connection, beside the engine's."""
    if url.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
    import psycopg

    return psycopg.connect(url)


class App:
    """A Jobsworth and its handlers. `diary` tells which attempts really started, whatever any database says."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.mark = "?" if url.startswith("sqlite") else "%s"
        self.diary = diary = Ledger(folder)
        self.jobs = jobs = Jobsworth(url)
        jobs.add(Queue("default", worker_count=4, retry=PATIENT, grace=0.5))
        jobs.add(Queue("children", worker_count=1, retry=PATIENT, isolation="process", grace=0.5))
        payment = f"INSERT INTO payments (job, attempt) VALUES ({self.mark}, {self.mark})"

        def pay(job: CurrentJob, before: float, inside: float) -> None:
            diary.write("start", job)
            time.sleep(before)
            with job.transaction(result=job.attempt) as connection:
                connection.execute(payment, (job.id, job.attempt))
                time.sleep(inside)

        def held(job: CurrentJob, where: str) -> None:
            """Its first attempt waits for the file `go`, before its block or inside it."""
            diary.write("start", job)
            waits = job.attempt == 1
            if waits and where == "before":
                wait()
            try:
                with job.transaction(result=job.attempt) as connection:
                    connection.execute(payment, (job.id, job.attempt))
                    if waits and where == "inside":
                        diary.write("inside", job)
                        wait()
            finally:
                diary.write("end", job, value=job.attempt)

        def wait() -> None:
            while not (folder / "go").exists():
                time.sleep(0.005)

        apay, aheld = self._coroutines(payment, folder)
        self.held = {"def": jobs.task(name="held")(held), "async def": jobs.task(name="aheld")(aheld)}
        self.pay: dict[str, list[Any]] = {}  # by colour: in the worker itself, and in a child of it
        for colour, handler, name in (("def", pay, "pay"), ("async def", apay, "apay")):
            in_a_child = jobs.task(name=f"{name}_in_a_child", queue="children")(handler)
            self.pay[colour] = [jobs.task(name=name)(handler), in_a_child]

    def _coroutines(self, payment: str, folder: Path) -> tuple[Any, Any]:
        """What `pay` and `held` do, in the loop."""
        diary = self.diary

        async def apay(job: CurrentJob, before: float, inside: float) -> None:
            diary.write("start", job)
            await asyncio.sleep(before)
            async with job.transaction(result=job.attempt) as connection:
                await write(connection, job)
                await asyncio.sleep(inside)

        async def write(connection: Any, job: CurrentJob) -> None:
            pending = connection.execute(payment, (job.id, job.attempt))
            if not isinstance(pending, sqlite3.Cursor):
                await pending

        async def aheld(job: CurrentJob, where: str) -> None:
            """The same as `held`, in the loop."""
            diary.write("start", job)
            waits = job.attempt == 1
            try:
                if waits and where == "before":
                    await await_go()  # where it is cancelled when its lease is gone
                async with job.transaction(result=job.attempt) as connection:
                    await write(connection, job)
                    if waits and where == "inside":
                        diary.write("inside", job)
                        await await_go()
            finally:
                diary.write("end", job, value=job.attempt)

        async def await_go() -> None:
            while not (folder / "go").exists():  # noqa: ASYNC110 (what touches it is another process)
                await asyncio.sleep(0.005)

        return apay, aheld

    def make_tables(self) -> None:
        connection = connect(self.url)
        for table in TABLES:
            connection.execute(table)
        connection.commit()
        connection.close()

    def buy(self, count: int, colour: str) -> None:
        """Orders, each with its job; some are thought better of. Says an id once its order is committed."""
        here, in_a_child = self.pay[colour]
        connection = connect(self.url)
        for _ in range(count):
            task = in_a_child if random.random() < 0.1 else here
            handle = task.options(transaction=connection).enqueue(random.uniform(0, 0.05), random.uniform(0, 0.01))
            connection.execute(f"INSERT INTO orders (job) VALUES ({self.mark})", (handle.id,))
            if random.random() < 0.2:
                connection.rollback()
                continue
            connection.commit()
            os.write(1, f"{handle.id}\n".encode())
            time.sleep(random.uniform(0, 0.02))
        connection.close()


_app = program.here(App)
if _app is not None:
    jobs = _app.jobs  # child processes look for it here

if __name__ == "__main__":
    assert _app is not None
    program.run(_app.jobs, customer=_app.buy)
