"""The testing kit: fixtures for pytest that need no conftest, and for unittest the same as `with` blocks.

    with drain(jobs) as kit:
        send.enqueue("ada")
        kit.assert_enqueued(send, "ada")
        kit.drain()

A mode is which engine the app is handed for a while; nothing in the app knows of it. See docs/testing.md.
"""

from .clock import HandClock
from .crash import Crash, Report, crash
from .hands import DrainKit, InlineKit
from .kit import Kit
from .modes import drain, fake, inline, real
from .real import RealKit

__all__ = [
    "Crash", "DrainKit", "HandClock", "InlineKit", "Kit", "RealKit", "Report", "crash", "drain", "fake", "inline",
    "real",
]  # fmt: skip
