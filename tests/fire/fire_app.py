"""The program that the fire tests set on fire: its handlers write a ledger beside the engine.

Run as a script it is a worker, or an enqueuer, in a process of its own: `python fire_app.py worker '{"lease": 1}'`.
The environment says where its jobs and its ledger are.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from pathlib import Path

import program
from program import PATIENT, Ledger
from recorder import record

from jobsworth import CurrentJob, GiveUp, JobHandle, Jobsworth, Queue, Retry, Snooze, current_job
from jobsworth.errors import MoveRefused


class App:
    """A Jobsworth with every handler the scenarios need."""

    def __init__(self, url: str, folder: Path) -> None:  # noqa: C901 (a list of handlers)
        self.folder = folder
        self.ledger = ledger = Ledger(folder)
        self.jobs = jobs = Jobsworth(url)
        record(jobs.engine, folder)
        jobs.add(Queue("default", worker_count=4, retry=PATIENT, grace=0.5))
        jobs.add(Queue("poison", worker_count=4, retry=Retry(max_attempts=3, max_crashes=3, base=0.02)))
        jobs.add(Queue("children", worker_count=2, retry=PATIENT, isolation="process", grace=0.5))

        @jobs.task
        async def quick(n: int, seconds: float = 0.0) -> int:
            with ledger.run(current_job(), n):
                await asyncio.sleep(seconds)
            return n * 2

        @jobs.task
        def threaded(n: int, seconds: float = 0.0) -> int:
            ledger.write("start", current_job(), args={"n": n})
            time.sleep(seconds)
            ledger.write("end", current_job(), value=n * 2)
            return n * 2

        @jobs.task
        async def cancellable(n: int, seconds: float) -> int:
            with ledger.run(current_job(), n):
                await asyncio.sleep(seconds)
            return n * 2

        @jobs.task
        def held(job: CurrentJob, name: str) -> int:
            """Goes on when somebody writes the file `name.N`, N being the attempt."""
            ledger.write("start", job)
            job.report_progress(job.attempt, 10, message=f"attempt {job.attempt}")
            go = folder / f"{name}.{job.attempt}"
            while not go.exists():
                time.sleep(0.005)
            job.report_progress(9, 10, message=f"end of attempt {job.attempt}")
            ledger.write("end", job, value=job.attempt)
            return job.attempt

        @jobs.task
        async def moody(n: int, moods: str) -> int:
            """Every start has its mood: + completes, - fails, s snoozes, ! gives up."""
            with ledger.run(current_job(), n):
                mood = moods[min(ledger.tries(current_job().id), len(moods)) - 1]
                for step in range(1, 4):
                    current_job().report_progress(step, 3)
                    await asyncio.sleep(0.02)
            if mood == "s":
                raise Snooze(0.3)
            if mood == "!":
                raise GiveUp("enough")
            if mood == "-":
                raise RuntimeError("in a bad mood")
            return n * 2

        @jobs.task
        async def blocks_the_loop(seconds: float) -> int:
            ledger.write("start", current_job())
            time.sleep(seconds)  # noqa: ASYNC251 (that is the point)
            ledger.write("end", current_job(), value=1)
            return 1

        @jobs.task(queue="poison")
        async def poison(n: int) -> None:
            ledger.write("start", current_job(), args={"n": n})
            os.kill(os.getpid(), 9)

        @jobs.task(queue="poison")
        async def neighbour(n: int) -> int:
            ledger.write("start", current_job(), args={"n": n})
            await asyncio.sleep(0.005)
            ledger.write("end", current_job(), value=n * 2)
            return n * 2

        @jobs.task(queue="children")
        def in_a_child(n: int, seconds: float) -> int:
            ledger.write("start", current_job(), args={"n": n})
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                if n % 2:  # one of them speaks all the time
                    current_job().report_progress(n, message="x" * 1000)
                time.sleep(0.01 if n % 2 else seconds)
            ledger.write("end", current_job(), value=n * 2)
            return n * 2

        self.quick, self.threaded, self.cancellable, self.held, self.moody = quick, threaded, cancellable, held, moody
        self.blocks_the_loop, self.poison, self.neighbour, self.in_a_child = (
            blocks_the_loop, poison, neighbour, in_a_child,
        )  # fmt: skip

    def enqueue_loudly(self, count: int, bytes_each: int = 0) -> None:
        """Enqueue one by one, saying each id once it is acknowledged."""
        for n in range(count):
            if random.random() < 0.1:
                handles = self.quick.enqueue_many([(n,)] * 5)
            elif bytes_each:
                handles = [self.quick.options(meta={"ballast": "x" * bytes_each}).enqueue(n)]
            else:
                handles = [self.quick.enqueue(n)]
            os.write(1, "".join(f"{handle.id}\n" for handle in handles).encode())

    def do_anything(self, seed: int) -> None:
        """Whatever a program may ask for, in no order, until somebody writes the file `calm`."""
        dice = random.Random(seed)
        mine: list[JobHandle[int]] = []
        while not (self.folder / "calm").exists():
            n = dice.randrange(1000)
            wish = dice.choice(
                [{}, {"priority": dice.randrange(5)}, {"delay": dice.uniform(0, 1)}, {"expires": dice.uniform(0, 0.5)},
                 {"key": f"k{dice.randrange(5)}", "tags": ["x", "y"], "owner": "user:7", "meta": {"n": n}}]
            )  # fmt: skip
            match dice.randrange(7):
                case 0:
                    mine += self.quick.options(**wish).enqueue_many([(n, dice.uniform(0, 0.1)) for n in range(10)])
                case 1:
                    mine.append(self.threaded.options(**wish).enqueue(n, dice.uniform(0, 0.1)))
                case 2:
                    mine.append(
                        self.moody.options(**wish).enqueue(n, dice.choice(["-+", "s+", "--+", "---", "-!", "s-s+"]))
                    )
                case 3:
                    mine.append(self.cancellable.options(**wish).enqueue(n, dice.uniform(0, 2)))
                case 4 if mine:
                    dice.choice(mine).cancel("enough", grace=0.1)
                case 5 if mine and dice.random() < 0.3:
                    with contextlib.suppress(MoveRefused):  # it runs, or waits
                        dice.choice(mine).retry()
                case 6 if dice.random() < 0.1:
                    self.jobs.pause("default")
                    time.sleep(dice.uniform(0, 0.4))
                    self.jobs.resume("default")
            time.sleep(dice.uniform(0, 0.02))


_app = program.here(App)
if _app is not None:
    jobs = _app.jobs  # child processes look for it here

if __name__ == "__main__":
    assert _app is not None
    program.run(_app.jobs, enqueue=_app.enqueue_loudly, client=_app.do_anything)
