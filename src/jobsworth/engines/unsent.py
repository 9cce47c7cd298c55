"""How much of what was sent is still on its way: a long message on a slow line is not silence."""

from __future__ import annotations

import contextlib
import fcntl
import struct
import termios


def unsent(handle: int) -> int:
    """Bytes that the other side has not confirmed yet; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        told = fcntl.ioctl(handle, termios.TIOCOUTQ, b"\0\0\0\0")
        return int(struct.unpack("i", told)[0])
    return 0
