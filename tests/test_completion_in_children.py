"""Jobs completed in their handler's own transaction, where the handler runs in a child process."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobsworth.events import Afterthought, AttemptEnded, LeaseTaken
from places import Place
from waiting import until

CHILD_APP = """
import os, time
from pathlib import Path
from jobsworth import Jobsworth, Queue, Retry, current_job

jobs = Jobsworth({url!r})
children = jobs.add(Queue("children", isolation="process", grace=0.1, retry=Retry(max_attempts=3, base=0.01)))

@jobs.task(queue=children)
def pay(n: int, then: str) -> str:
    with current_job().transaction(result="paid") as connection:
        connection.execute(f"INSERT INTO ledger (n) VALUES ({{n:d}})")
        if then == "dies inside" and current_job().attempt == 1:
            os._exit(3)
    if then == "dies after":
        os._exit(3)
    if then == "stays":
        while not Path({go!r}).exists():
            current_job().check_cancelled()
            time.sleep(0.005)
    return "paid"
"""


@pytest.fixture
def child_app(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    text = CHILD_APP.format(url=place.url, go=str(tmp_path / "go"))
    (tmp_path / "transaction_children.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    app: Any = importlib.import_module("transaction_children")
    yield app
    app.jobs.close()
    del sys.modules["transaction_children"]


@pytest.mark.parametrize("then", ["returns", "dies inside", "dies after", "stays"])
def test_a_child_process_completes_its_job_in_its_own_transaction(
    place: Place, child_app: Any, tmp_path: Path, then: str
) -> None:
    with child_app.jobs.worker({"children": 1}, lease=5, listener=place.events.append) as worker:
        handle = child_app.pay.enqueue(7, then)
        assert handle.result(timeout=20) == "paid"
        if then == "stays":
            run = next(iter(worker._shop.runs.values()))
            until(lambda: run.context.settled)
            assert worker._shop.lose([handle.id]) == []  # what a heartbeat says of it is no news
            (tmp_path / "go").touch()
        until(lambda: [each for each in place.told(AttemptEnded) if each.settlement.outcome == "succeeded"])
    assert place.ledger() == [7]
    job = handle.refresh().job
    assert [each.outcome for each in job.attempts] == (["lost"] if then == "dies inside" else []) + ["succeeded"]
    assert place.told(LeaseTaken) == []
    told = [event.what for event in place.told(Afterthought)]
    assert told == (["ended as lost"] if then == "dies after" else [])


COROUTINE_APP = """
import os
from jobsworth import Jobsworth, Queue, Retry, current_job

jobs = Jobsworth({url!r})
children = jobs.add(Queue("children", worker_count=1, isolation="process", retry=Retry(max_attempts=3, base=0.01)))

@jobs.task(queue=children)
async def pay(n: int) -> int:
    async with current_job().transaction(result=os.getpid()) as connection:
        pending = connection.execute(f"INSERT INTO ledger (n) VALUES ({{n:d}})")
        if hasattr(pending, "__await__"):
            await pending
        if n == 9 and current_job().attempt == 1:
            os._exit(3)
    return os.getpid()
"""


def test_a_coroutine_in_a_child_process_completes_its_job_in_its_own_transaction(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run has a loop of its own there, and with it a connection of its own."""
    (tmp_path / "coroutine_children.py").write_text(COROUTINE_APP.format(url=place.url))
    monkeypatch.syspath_prepend(tmp_path)
    app: Any = importlib.import_module("coroutine_children")
    try:
        with app.jobs.worker({"children": 1}, lease=5, listener=place.events.append):
            pids = [app.pay.enqueue(n).result(timeout=20) for n in (7, 8)]
            last = app.pay.enqueue(9)
            assert last.result(timeout=20) not in pids
        attempts = last.refresh().job.attempts
    finally:
        app.jobs.close()
        del sys.modules["coroutine_children"]
    assert pids[0] == pids[1] != os.getpid()
    assert place.ledger() == [7, 8, 9]
    assert [each.outcome for each in attempts] == ["lost", "succeeded"]
    assert place.told(LeaseTaken) == place.told(Afterthought) == []
