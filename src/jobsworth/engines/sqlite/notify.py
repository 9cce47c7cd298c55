"""File events from the Linux kernel (inotify(7)), for a watcher that sleeps until somebody writes.

Python's standard library has no door to them, so libc is called directly; where there are none, open_events() says so.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys

_MODIFY = 0x00000002
_BUFFER = 65_536  # bytes: room for every event that may have come meanwhile


class FileEvents:
    """Tells when a file was written to, by whichever process."""

    def __init__(self, path: str) -> None:
        """Raises OSError if the file is not there or the kernel has no watches left."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        if libc.inotify_add_watch(self._fd, os.fsencode(path), _MODIFY) < 0:
            number = ctypes.get_errno()
            os.close(self._fd)
            raise OSError(number, "inotify_add_watch", path)
        self.inode = os.stat(path).st_ino  # noqa: PTH116 (beside the system calls it belongs to)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait for a write, at most so long. True if there was one; all that came are taken together."""
        if not self._poll.poll(seconds * 1000):
            return False
        os.read(self._fd, _BUFFER)
        return True

    def close(self) -> None:
        os.close(self._fd)


def open_events(path: str) -> FileEvents | None:
    """Events for a file, or None where this system or this file has none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        return FileEvents(path)
    except (OSError, AttributeError):  # no such file yet, no watches left, or a libc without inotify
        return None
