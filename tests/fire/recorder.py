"""What every process asked its engine and what it was answered, written down beside the engine.

Two lines per question: one before it is asked, one with the answer. So a question without an answer, because its asker
was killed or the engine could not be reached, is known for what it is: it may have been carried out, or not, or later.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from jobsworth.engine import Engine, Pulse, Want
from jobsworth.errors import QueueFull
from jobsworth.job import Claim, NewJob, Receipt
from jobsworth.lifecycle import Settlement

FILE = "door"
_numbers = itertools.count()
Notes = dict[str, Any]


class Call(msgspec.Struct, kw_only=True):
    """One question and its answer. Moments are time.monotonic(), one clock for all processes of this machine."""

    verb: str
    pid: int
    began: float
    ended: float | None = None  # None: nobody wrote down an answer
    failed: str | None = None  # the name of what was raised instead of an answer
    worker: str = ""
    lease: float = 0.0
    wishes: list[list[NewJob]] = []
    receipts: list[list[Receipt] | None] = []  # for each batch; None: its queue was full
    endings: list[Settlement] = []
    want: list[Want] = []
    claims: list[Claim] = []
    refused: list[str] = []
    pulses: list[Pulse] = []
    lost: list[str] = []
    move: str = ""
    ids: list[str] | None = None  # the jobs to be moved, if they were named
    moved: list[str] = []
    queue: str = ""
    paused: bool | None = None

    @property
    def answered(self) -> bool:
        return self.ended is not None and self.failed is None

    @property
    def at(self) -> float:
        """When at the latest an answered call was carried out."""
        assert self.ended is not None
        return self.ended

    @property
    def unknown(self) -> bool:
        """It may have been carried out, or not, or may yet be."""
        return self.ended is None or self.failed == "EngineUnavailable"


_ASKED: dict[str, Callable[..., Notes]] = {
    "enqueue": lambda wishes: {"wishes": wishes},
    "turn": lambda worker, settle, want, *, lease: {"worker": worker, "endings": settle, "want": want, "lease": lease},
    "pulse": lambda card, pulses, *, lease: {"worker": card.id, "pulses": pulses, "lease": lease},
    "reclaim": lambda limit, *, worker, lease: {"worker": worker, "lease": lease},
    "recall": lambda worker, within: {"worker": worker},
    "move": lambda where, move: {"move": move.name, "ids": where.ids},
    "configure": lambda queue, settings: {"queue": queue, "paused": settings.paused},
}
_TOLD: dict[str, Callable[[Any], Notes]] = {
    "enqueue": lambda answer: {"receipts": [None if isinstance(each, QueueFull) else each for each in answer]},
    "turn": lambda answer: {"claims": answer.claims, "refused": answer.refused},
    "pulse": lambda answer: {"lost": answer.lost},
    "reclaim": lambda answer: {"claims": answer},
    "recall": lambda answer: {"claims": answer},
    "move": lambda answer: {"moved": answer},
    "configure": lambda answer: {},
}


def record(engine: Engine, folder: Path) -> None:
    """From now on this engine's life-of-a-job verbs write down what passes through them."""
    for verb in _ASKED:
        if hasattr(engine, verb):
            setattr(engine, verb, _recording(verb, getattr(engine, verb), folder / FILE))


def _recording(verb: str, ask: Callable[..., Any], path: Path) -> Callable[..., Any]:
    async def asked(*values: Any, **named: Any) -> Any:
        call = f"{os.getpid()}.{next(_numbers)}"
        _write(path, {"call": call, "verb": verb, "pid": os.getpid(), "began": time.monotonic(),
                      **_ASKED[verb](*values, **named)})  # fmt: skip
        try:
            answer = await ask(*values, **named)
        except Exception as exc:
            _write(path, {"call": call, "ended": time.monotonic(), "failed": type(exc).__name__})
            raise
        _write(path, {"call": call, "ended": time.monotonic(), **_TOLD[verb](answer)})
        return answer

    return asked


def _write(path: Path, notes: Notes) -> None:
    """One line, appended at once. It begins a line, too: a kill may have cut the one before it short."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, b"\n" + msgspec.json.encode(notes) + b"\n")
    os.close(handle)


def read_calls(folder: Path) -> list[Call]:
    """All calls in the order they began. A line that was cut short was never written."""
    path = folder / FILE
    if not path.exists():
        return []
    calls: dict[str, Notes] = {}
    for line in path.read_bytes().splitlines():
        notes = _whole(line)
        if notes is not None:
            calls.setdefault(notes.pop("call"), {}).update(notes)
    found = [msgspec.convert(notes, Call) for notes in calls.values() if "verb" in notes]
    return sorted(found, key=lambda call: call.began)


def _whole(line: bytes) -> Notes | None:
    try:
        notes: Notes = json.loads(line)
    except ValueError:  # empty, or cut short
        return None
    return notes
