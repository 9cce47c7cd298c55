"""Everything at once: programs that ask for anything, handlers in every mood, workers killed and put to sleep."""

from __future__ import annotations

import random
import signal
from collections import Counter

import pytest
from crew import EVERYWHERE, LONG, Crew, later, name_of

from jobsworth import State
from jobsworth.job import FINAL
from waiting import until

STRIKES = 60 if LONG else 6  # then what is left is finished


@EVERYWHERE
@pytest.mark.timeout(900 if LONG else 240)
def test_the_history_of_a_storm_is_right(crew: Crew, seed: int) -> None:
    """Delays, expiries, keys, retries, snoozes, cancels, pauses, redrives; kill -9 and SIGSTOP. The checker judges."""
    crew.jobs.open()
    workers = {name: crew.worker(name=name) for name in ("one", "two", "three")}
    clients = [crew.start("client", seed=seed + number) for number in range(3)]
    strikes = ["kill", "sleep"] * (STRIKES // 2)
    random.shuffle(strikes)
    for strike in strikes:
        later(random.uniform(0.2, 0.5))
        held = until(lambda: {job.worker for job in crew.jobs.find(task="cancellable", state="running")})
        name = name_of(held.pop())
        if strike == "kill":
            crew.kill(workers[name])
            workers[name] = crew.worker(name=name)
        else:
            crew.stop(workers[name])
            later(random.uniform(0.2, 3.0))  # more than a lease, or less
            workers[name].send_signal(signal.SIGCONT)
    crew.kill(clients.pop())  # in the middle of anything, perhaps of a pause
    (crew.folder / "calm").touch()
    for client in clients:
        assert client.wait(30) == 0, crew.log(client)
    crew.jobs.resume("default")
    jobs = crew.finish()
    history = crew.check(set(), slots={"default": 4})
    seen = Counter(job.state for job in jobs) + Counter(each.outcome for job in jobs for each in job.attempts)
    assert seen.keys() >= {*FINAL, "succeeded", "failed", "lost", "snoozed", "cancelled", "expired"}, seen
    assert history.renewed, "nothing was redriven"
    assert seen[State.COMPLETED] > 50, f"this proved little: {seen}"
