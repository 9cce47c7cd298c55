"""What becomes of runs whose lease is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from jobsworth.events import LeaseTaken, Listener

from .shop import Shop

HEARSAY = 0.25  # seconds that a child process's word may take to reach us


def lose(shop: Shop, lost: Iterable[str], tell: Listener) -> None:
    """In the shop's loop: stop what is no longer ours, and tell."""
    # A child that completes its job itself says so before it does, but what it says may reach us a little later.
    apart = {run.claim.lease.job_id for run in list(shop.runs.values()) if run.child is not None}.intersection(lost)
    if apart:
        asyncio.get_running_loop().call_later(HEARSAY, _lose_now, shop, apart, tell)
    _lose_now(shop, set(lost) - apart, tell)


def _lose_now(shop: Shop, lost: set[str], tell: Listener) -> None:
    for claim in shop.lose(lost):
        tell(LeaseTaken(claim, ended=False))
