"""Keys as they are pressed, on a terminal only. Leaves the terminal as it was, whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import termios
import tty
from collections.abc import Iterator

_KEY = re.compile(rb"\x1b[\[O][0-9;]*([A-Za-z~])|\x1b|[^\x1b]", re.DOTALL)
_HALF = re.compile(rb"\x1b(?:[\[O][0-9;]*)?\Z")  # the beginning of what an arrow sends
_ARROWS = {b"A": "up", b"B": "down", b"C": "right", b"D": "left", b"Z": "back"}
_NAMES = {b"\t": "tab", b"\x1b": "escape", b"\r": "enter", b"\n": "enter", b" ": "space", b"\x7f": "back"}


def keys_in(data: bytes) -> tuple[list[str], bytes]:
    """The keys in what a terminal sent, and the beginning of one whose rest is still on its way.

    Letters are themselves; others have names. What means nothing here is left out.
    """
    half = _HALF.search(data)
    whole, rest = (data[: half.start()], half[0]) if half else (data, b"")
    return [key for found in _KEY.finditer(whole) if (key := _name(found))], rest


def _name(found: re.Match[bytes]) -> str:
    if found[1] is not None:
        return _ARROWS.get(found[1], "")
    pressed = found[0]
    return _NAMES.get(pressed, pressed.decode("ascii", "ignore") if pressed.isalnum() or pressed in b"?/" else "")


class Keyboard:
    """What is typed on stdin. `fd` is None where nobody can type."""

    def __init__(self) -> None:
        self.fd = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._rest = b""

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Each key at once and unseen, until the end of the block. Ctrl-C and Ctrl-Z stay signals."""
        if self.fd is None:
            yield
            return
        before = termios.tcgetattr(self.fd)
        try:
            tty.setcbreak(self.fd, termios.TCSANOW)
            yield
        finally:
            termios.tcsetattr(self.fd, termios.TCSADRAIN, before)

    def read(self) -> list[str]:
        """The keys that have come; to be called when there is something to read. The end of input is the key "end"."""
        assert self.fd is not None
        try:
            data = os.read(self.fd, 1024)
        except OSError:  # the terminal has gone
            data = b""
        if not data:
            return ["end"]
        keys, self._rest = keys_in(self._rest + data)
        return keys

    @property
    def in_a_key(self) -> bool:
        """True while the rest of a key is on its way, or Escape was pressed: see waited()."""
        return bool(self._rest)

    def waited(self) -> list[str]:
        """No more came within a moment: a lone Escape was that key."""
        rest, self._rest = self._rest, b""
        return ["escape"] if rest == b"\x1b" else []
