"""How runs have ended, as the shop hands it to the office."""

from __future__ import annotations

import msgspec

from jobsworth.context import CurrentJob
from jobsworth.job import Claim
from jobsworth.lifecycle import Settlement
from jobsworth.logged import KEPT

from .run import Key


class Ending(msgspec.Struct, gc=False):
    """What to write down, and whose slot it frees."""

    claim: Claim
    settlement: Settlement
    slot: str | None  # queue whose slot is free again; None while a stuck thread still holds it
    was_crashed: bool = False
    told: bool = False  # that its lease was lost is known already
    context: CurrentJob | None = None
    in_doubt: bool = False  # it was sent before, and no answer came: it may have been written then

    @property
    def key(self) -> Key:
        return self.claim.lease.job_id, self.claim.lease.fence

    @property
    def settled(self) -> Settlement | None:
        """What its handler has written itself, in its own transaction: nothing else can be written."""
        return self.context.settled if self.context is not None else None

    @property
    def has_news(self) -> bool:
        """Whether its run has said what its settlement may lack: the pulse that carried it may just have failed."""
        return self.context is not None and not (self.context.told and self.context.journal is None)

    def with_news(self) -> Settlement:
        """What to write down, with progress and lines that no pulse has carried. Only now: one may have failed."""
        assert self.context is not None
        note, lines = self.context.untold(), self.context.untold_lines()
        if note is not None or lines:
            known = self.settlement
            self.settlement = msgspec.structs.replace(
                known, progress=note or known.progress, lines=(*known.lines, *lines)[-KEPT:]
            )
        return self.settlement
