"""What a worker and its child processes say to each other: length-prefixed msgpack frames over a socket pair."""

from __future__ import annotations

import struct

import msgspec

from jobsworth.job import Claim, LogLine, Progress
from jobsworth.journal import OFF
from jobsworth.lifecycle import Settlement
from jobsworth.outcome import Outcome

HEADER = struct.Struct("!I")


class Start(msgspec.Struct, frozen=True, tag=True):
    """To the child: run this. `remaining` is seconds until its time runs out, `elapsed` those since the attempt began.

    log_level: what the handler logs from this level on is to be told.
    """

    claim: Claim
    remaining: float | None = None
    elapsed: float = 0.0
    log_level: int = OFF


class Stop(msgspec.Struct, frozen=True, tag=True):
    """To the child: ask the handler to stop. `kind` is cancelled, timed_out, interrupted or lease_lost."""

    kind: str
    reason: str | None = None


class Note(msgspec.Struct, frozen=True, tag=True):
    """From the child: newest progress, and what was logged."""

    progress: Progress | None
    lines: tuple[LogLine, ...] = ()


class Completing(msgspec.Struct, frozen=True, tag=True):
    """From the child: its handler's transaction is about to commit this, or has (`done`), or (None) has not."""

    settlement: Settlement | None
    done: bool


class Ended(msgspec.Struct, frozen=True, tag=True):
    """From the child: how the run ended, and the last lines it logged."""

    outcome: Outcome
    lines: tuple[LogLine, ...] = ()


class Ready(msgspec.Struct, frozen=True, tag=True):
    """From the child: imported and waiting. `error` says why it is not."""

    error: str | None = None


ToChild = Start | Stop
ToParent = Ready | Note | Completing | Ended

_encode = msgspec.msgpack.Encoder().encode
to_child = msgspec.msgpack.Decoder(ToChild).decode
to_parent = msgspec.msgpack.Decoder(ToParent).decode


def frame(message: ToChild | ToParent) -> bytes:
    """A message as bytes with its length before it."""
    body = _encode(message)
    return HEADER.pack(len(body)) + body
