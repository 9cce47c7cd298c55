"""`jobsworth top`: the queues, workers, running jobs and newest failures on a terminal, as they change."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from jobsworth.app import Jobsworth
from jobsworth.errors import BadOption

from .keyboard import Keyboard
from .lookout import Lookout
from .options import HERE, Place, Time, looking, name_of
from .terminal import is_terminal, put
from .values import seconds_from

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from .board import Picture, View

SHORTEST = 0.2  # seconds between looks
TICK = 1.0  # seconds between frames, at most: ages grow while nothing changes
PIPE = 240  # columns for a reader that has none
KEY_GAP = 0.05  # seconds within which the rest of an arrow's sequence comes
_LEAVING = (signal.SIGTERM, signal.SIGHUP)


def top(
    *,
    once: Annotated[bool, Parameter(name="--once", negative="")] = False,
    interval: Time = "2",
    queue: Annotated[str | None, Parameter(name=["--queue", "-q"])] = None,
    place: Place = HERE,
) -> int:
    """Queues, workers, running jobs and failures on the terminal, as they change.

    For example:
      jobsworth top
      jobsworth top --queue mailers --interval 1
      jobsworth top --once

    Keys: q leaves, p holds the picture, tab and the arrows go from queue to queue, ? shows the others. An engine that
    goes away is told in the first lines, and what was seen last stays until it is back.

    Parameters
    ----------
    once
        Print one frame and end; also into a pipe.
    interval
        How often to look, such as 1 or 10s.
    queue
        Begin with this queue's jobs and workers alone.
    """
    seconds = seconds_from(interval, "--interval")
    if seconds is None or seconds < SHORTEST:
        raise BadOption(f"--interval must be at least {SHORTEST:g} seconds, not {interval}")
    if not once and not is_terminal(sys.stdout):
        raise BadOption("top needs a terminal", hint="--once prints one frame; `jobsworth status --watch` follows")
    with looking(place) as store:
        if once:
            _print_once(store, seconds, queue)
            return 0
        return _Top(store, seconds, queue).run()


def _print_once(store: Jobsworth, seconds: float, queue: str | None) -> None:
    """One frame, whole: as wide as the terminal, or as wide as it is."""
    from rich.console import Console

    from .board import View, frame

    lookout = Lookout(store, seconds, lambda: None)
    lookout.queue = queue
    lookout.once()
    view = View(queue=queue, keys=False)
    shown = is_terminal(sys.stdout)
    console = Console() if shown else Console(width=PIPE, no_color=True, force_terminal=False)
    picture = frame(_picture(store, seconds, lookout), view, console.width, None)
    if shown:
        console.print(picture)
        return
    with console.capture() as printed:
        console.print(picture)
    put("\n".join(line.rstrip() for line in printed.get().splitlines()))


def _picture(store: Jobsworth, seconds: float, lookout: Lookout) -> Picture:
    from .board import Picture

    return Picture(name_of(store.engine), seconds, lookout.sight, lookout.loss, lookout.curves)


class _Top:
    """The screen and its keys. Signals and the lookout wake it through a pipe."""

    def __init__(self, store: Jobsworth, seconds: float, queue: str | None) -> None:
        from .board import View

        self._store = store
        self._seconds = seconds
        self._view: View = View(queue=queue)
        self._keyboard = Keyboard()
        self._view.keys = self._keyboard.fd is not None
        self._hear, self._say = os.pipe()
        os.set_blocking(self._say, False)
        os.set_blocking(self._hear, False)
        self._lookout = Lookout(store, seconds, self._wake)
        self._lookout.queue = queue
        self._signals: list[int] = []
        self._picture: Picture | None = None

    def run(self) -> int:
        """Until somebody leaves; the exit code. A suspended screen is given back first and drawn anew afterwards."""
        self._lookout.start()
        try:
            with self._hearing_signals():
                while True:
                    ended_by = self._session()
                    if ended_by != signal.SIGTSTP:
                        break
                    os.kill(os.getpid(), signal.SIGSTOP)
        finally:
            self._lookout.stop()
            os.close(self._hear)
            os.close(self._say)
        if self._lookout.mistake is not None:
            raise self._lookout.mistake
        return 128 + ended_by if ended_by else 0

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is full: whoever reads it will wake anyway
            os.write(self._say, b".")

    @contextlib.contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        """A resized window, a suspension and an order to end all reach the loop, so that the terminal is given back."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def heard(number: int, _: object) -> None:
            self._signals.append(number)
            self._wake()

        before = {each: signal.signal(each, heard) for each in (signal.SIGWINCH, signal.SIGTSTP, *_LEAVING)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _session(self) -> int:
        """Draw until a key or a signal ends it; which signal that was, 0 for a key."""
        from rich.console import Console
        from rich.live import Live

        console = Console()
        with self._keyboard.listening(), Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                self._draw(live, console)
                for key in self._wait():
                    if key in ("q", "Q", "end"):
                        return 0
                    self._press(key)
                signals, self._signals = self._signals, []
                leaving = [each for each in signals if each != signal.SIGWINCH]
                if leaving:
                    return leaving[0]
                if self._lookout.mistake is not None:
                    return 0

    def _draw(self, live: Live, console: Console) -> None:
        from .board import frame

        if not self._view.held or self._picture is None or self._picture.sight is None:
            self._picture = _picture(self._store, self._seconds, self._lookout)
        width, height = console.size
        shown: RenderableType = frame(self._picture, self._view, width, height)
        live.update(shown, refresh=True)

    def _wait(self) -> list[str]:
        """Until something happens, at most a tick; the keys that were pressed."""
        fds = [self._hear] if self._keyboard.fd is None else [self._hear, self._keyboard.fd]
        ready, _, _ = select.select(fds, [], [], KEY_GAP if self._keyboard.in_a_key else TICK)
        if self._hear in ready:
            os.read(self._hear, 4096)
        if self._keyboard.fd in ready:
            return self._keyboard.read()
        return self._keyboard.waited()

    def _press(self, key: str) -> None:
        if self._view.help:
            self._view.help = False
        elif key == "?":
            self._view.help = True
        elif key in ("p", "space"):
            self._view.held = not self._view.held
        elif key == "r":
            self._lookout.look_now()
        elif key in ("tab", "down", "right"):
            self._choose(1)
        elif key in ("back", "up", "left"):
            self._choose(-1)
        elif key == "escape":
            self._choose(0)

    def _choose(self, step: int) -> None:
        """The next queue, or the one before; all of them stand between the last and the first."""
        sight = self._lookout.sight
        names: list[str | None] = [None, *(each.queue for each in (sight.queues if sight else ()))]
        at = names.index(self._view.queue) if self._view.queue in names else 0
        self._view.queue = self._lookout.queue = names[(at + step) % len(names)] if step else None
        self._lookout.look_now()
