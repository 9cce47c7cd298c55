"""`jobsworth status`: is anything wrong, and what to do about it, on one screen."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from jobsworth.app import Jobsworth
from jobsworth.engine import SILENT_AFTER, Engine, QueueStatus, WorkerCard
from jobsworth.job import HELD, State
from jobsworth.loads import alerts, drains_in, minutes_left, missing_slots, running
from jobsworth.log import clean

from . import text
from .options import DEFAULTS, Common, looking, name_of
from .terminal import is_terminal, put, put_json, say, styled

REFRESH = (0.3, 2.0)  # seconds between two screens of --watch: at least, at most
_HEAD = ("QUEUE", "WAITING", "OLDEST", "RUNNING", "/SLOTS", "IN/min", "OUT/min", "DRAINS", "")
_COUNTED = 200  # running jobs that are looked at one by one


class Report(msgspec.Struct, frozen=True):
    """What there is to tell."""

    engine: dict[str, Any]
    queues: list[QueueStatus]
    workers: list[WorkerCard]

    def total(self, state: State) -> int:
        return sum(queue.counts.get(state, 0) for queue in self.queues)


def status(
    *, watch: Annotated[bool, Parameter(name=["--watch", "-w"], negative="")] = False, common: Common = DEFAULTS
) -> int:
    """Queues, workers and what needs attention.

    For example:
      jobsworth status
      jobsworth status --watch
      jobsworth status --json | jq .warnings

    DRAINS says when a queue will be empty at the rates of the last minute.

    Parameters
    ----------
    watch
        Show it again whenever something changes; with --json one line each time.
    """
    with looking(common) as store:
        if watch:
            _watch(store, common)
        elif common.json:
            put_json(as_json(report_of(store)))
        else:
            for line in lines(report_of(store)):
                put(line)
    return 0


def report_of(store: Jobsworth) -> Report:
    """Look once."""
    queues, cards = store.queue_statuses(), store.workers()
    if sum(map(running, queues)) <= _COUNTED:
        # A card tells how busy its worker was at its last heartbeat; the jobs themselves tell how busy it is.
        held = Counter(job.worker for job in store.find(states=list(HELD), limit=_COUNTED))
        cards = [msgspec.structs.replace(card, running=held[card.id]) for card in cards]
    return Report(engine_facts(store), queues, cards)


def engine_facts(store: Jobsworth) -> dict[str, Any]:
    """Which engine, where, how durable and how large. Cheap: no integrity checks."""

    async def look(engine: Engine) -> dict[str, Any]:
        schema = await engine.schema_version()
        return {
            "engine": engine.kind, "where": engine.where, "name": name_of(engine),
            "durability": await engine.durability(), "schema": schema.found, "bytes": await engine.size(),
        }  # fmt: skip

    return store.bridge.call(look)


def lines(report: Report) -> list[str]:
    """The screen."""
    done = [engine_line(report.engine)]
    if report.queues:
        done += _queue_lines(report.queues)
    else:
        done.append("no jobs, no queues and no workers yet: start with `jobsworth worker` and `jobsworth enqueue TASK`")
    done += _worker_lines(report.workers)
    dead = report.total(State.FAILED)
    done.append(
        " · ".join([
            styled(f"dead {dead:,}", "red") + " (jobsworth dead list)" if dead else "dead 0",
            f"scheduled {report.total(State.SCHEDULED):,}",
        ])
    )  # fmt: skip
    return done + [styled(line, "yellow") for line in warnings(report)]


def engine_line(facts: dict[str, Any]) -> str:
    """engine   sqlite jobsworth.db · every enqueue is on disk before it returns (fsync) · schema 1 · 38 MB"""
    durability = clean(facts["durability"], 200)
    return f"engine   {facts['name']} · {durability} · schema {facts['schema']} · {text.size(facts['bytes'])}"


def _queue_lines(queues: list[QueueStatus]) -> list[str]:
    cells = []
    for queue in queues:
        waiting, held = queue.counts.get(State.QUEUED, 0), running(queue)
        cells.append((
            clean(queue.queue, 60), f"{waiting:,}", text.duration(queue.oldest) if waiting else "-", f"{held:,}",
            f"/{queue.slots:,}", f"{queue.in_rate:,}", f"{queue.out_rate:,}", drains(queue), advice(queue),
        ))  # fmt: skip
    head, *body = text.table(_HEAD, cells, right=".rrrrrr")
    return [styled(head, "bold"), *body]


def drains(queue: QueueStatus) -> str:
    """When the queue will be empty."""
    left = minutes_left(queue)
    if left is None:
        # Slots that have ended nothing for a minute may be at their first long jobs.
        return "?" if queue.slots and not queue.out_rate and not queue.paused else "never"
    return "now" if left * 60 < 5 else f"in {text.duration(left * 60)}"


def advice(queue: QueueStatus) -> str:
    """What to do about a queue; "" when it is well."""
    if queue.paused:
        return "‖ paused"
    waiting = queue.counts.get(State.QUEUED, 0)
    if waiting and not queue.slots:
        return "▲ no worker is listening"
    more = missing_slots(queue)
    return f"▲ add ~{text.count(more, 'slot')}" if more else ""


def _worker_lines(cards: list[WorkerCard]) -> list[str]:
    if not cards:
        return ["WORKERS  none"]
    newest = newest_of(cards)
    cells = [
        (
            "WORKERS" if index == 0 else "", clean(card.id, 128), f"v{clean(card.version, 20)}",
            text.count(sum(card.queues.values()), "slot"), f"{card.running} busy", text.size(card.rss),
            f"beat {text.duration(card.beat)}", worker_note(card, newest),
        )
        for index, card in enumerate(cards)
    ]  # fmt: skip
    return text.table([""] * 8, cells, right="...rrr")[1:]


def newest_of(cards: list[WorkerCard]) -> tuple[int, ...]:
    """The newest version among workers, as worker_note takes it."""
    return max((_numbers(card.version) for card in cards), default=())


def worker_note(card: WorkerCard, newest: tuple[int, ...] = ()) -> str:
    """What is to be said about a worker."""
    if card.beat > SILENT_AFTER:
        return "! silent: killed, paused or cut off; its jobs are rescued"
    if card.stopping:
        return "stopping"
    return "! older version" if _numbers(card.version) < newest else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("+")[0].split(".") if part.isdigit())


def warnings(report: Report) -> list[str]:
    """What needs a person."""
    return [f"{f'warn[{each.code}]: ' if each.code else ''}{clean(each.text)}" for each in alerts(report.queues)]


def as_json(report: Report) -> dict[str, Any]:
    """The same for a program."""
    return {
        "engine": report.engine,
        "queues": [
            {
                "queue": each.queue, "paused": each.paused, "waiting": each.counts.get(State.QUEUED, 0),
                "oldest": each.oldest, "running": running(each), "slots": each.slots, "workers": each.workers,
                "in_rate": each.in_rate, "out_rate": each.out_rate, "drains_in": drains_in(each),
                "missing_slots": missing_slots(each), "unroutable": each.unroutable,
                "counts": {state.value: each.counts.get(state, 0) for state in State},
            }
            for each in report.queues
        ],
        "workers": [worker_json(card) for card in report.workers],
        "dead": report.total(State.FAILED),
        "scheduled": report.total(State.SCHEDULED),
        "warnings": warnings(report),
    }  # fmt: skip


def worker_json(card: WorkerCard) -> dict[str, Any]:
    """One worker for a program; ages in seconds, moments in ISO 8601."""
    from jobsworth.snapshot import moment

    return {
        **msgspec.to_builtins(card), "started_at": moment(card.started_at), "silent": card.beat > SILENT_AFTER,
    }  # fmt: skip


def _watch(store: Jobsworth, common: Common) -> None:
    """Look again whenever something changes, and now and then without."""
    changed = threading.Event()
    store.bridge.call(lambda engine: engine.queues([]))  # opened before it is listened to
    stop = store.engine.listen(changed.set)
    shortest, longest = REFRESH
    last: Any = None
    pause = threading.Event()
    try:
        with _screen(common.json) as draw:
            while True:
                changed.clear()
                report = report_of(store)
                if common.json:
                    last = _tell_change(report, last)
                else:
                    draw(lines(report))
                pause.wait(shortest)
                changed.wait(longest - shortest)
    finally:
        stop()


def _tell_change(report: Report, last: Any) -> Any:
    new = as_json(report)
    # Ages and sizes change by themselves; they alone are no news.
    core = ([(q["queue"], q["paused"], q["counts"], q["slots"]) for q in new["queues"]], new["warnings"],
            [(w["id"], w["running"], w["stopping"], w["silent"]) for w in new["workers"]])  # fmt: skip
    if core != last:
        put_json(new, one_line=True)
    return core


@contextlib.contextmanager
def _screen(json: bool) -> Iterator[Any]:
    """How to draw: in place on a terminal, else one screen after the other when it has changed."""
    if json or not is_terminal(sys.stdout):
        last: list[list[str]] = []

        def append(screen: list[str]) -> None:
            if last != [screen]:
                last[:] = [screen]
                put("\n".join(screen) + "\n")

        yield append
        return
    from rich.live import Live
    from rich.text import Text

    say("Ctrl-C to leave")
    with Live(auto_refresh=False, vertical_overflow="visible") as live:
        yield lambda screen: live.update(Text.from_ansi("\n".join(screen)), refresh=True)
