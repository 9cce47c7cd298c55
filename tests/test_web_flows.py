"""What came to each queue and what ended there: only of queues that the visitor may see."""

from __future__ import annotations

import pytest

from jobsworth.engine import Engine, Want
from jobsworth.lifecycle import settle
from jobsworth.outcome import Succeeded
from jobsworth.retry import Retry
from jobsworth.web import Level, Visitor
from web_client import HOSTS, Client, a_site, an_app


async def work(engine: Engine) -> None:
    """Run all that waits, then look at the queues as upkeep does."""
    for queue in ("mail", "film"):
        claims = (await engine.turn("w", [], [Want(queue, 10, ("send", "cut"))], lease=60)).claims
        ended = [settle(claim, Succeeded(b"1"), Retry(), lambda: 0.5) for claim in claims]
        await engine.turn("w", ended, [], lease=60)
    await engine.upkeep(await engine.queues())


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("queues", "seen"), [(None, {"mail": 2, "film": 1}), ({"film"}, {"film": 1}), (set(), {})])
def test_what_came_and_what_ended_is_told_by_queue(host: str, queues: set[str] | None, seen: dict[str, int]) -> None:
    jobs = an_app()
    for task in ("send", "send", "cut"):
        jobs.find_task(task).enqueue("ada")
    jobs.bridge.call(work)
    client = Client(a_site(jobs, Visitor(Level.READ, queues=queues)), host)
    told = client.get("/api/history/queues").json()
    assert told["step"] == 60
    assert {flow["queue"]: sum(span["ended"] for span in flow["spans"]) for flow in told["queues"]} == seen
    for flow in told["queues"]:
        assert [depth["in_rate"] for depth in flow["depths"]] == [seen[flow["queue"]]]
        assert all(0 <= told["now"] - span["at"] < 120 and span["at"] % 60 == 0 for span in flow["spans"])
