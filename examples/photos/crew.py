"""The demo's worker processes: started for real, killed for real, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).parent
LEASE = 5  # seconds after which a silent worker's jobs are taken over; 30 is usual, but nobody wants to watch that
GRACE = 3  # seconds that running jobs get when the demo is stopped early; then they go back to their queue
COMMAND = (sys.executable, "-m", "jobsworth", "worker", "app:jobs", f"--lease={LEASE}", f"--grace={GRACE}")
PATIENCE = 15  # seconds a worker gets to finish when it is asked to stop


@dataclass
class Hand:
    """One worker process and what became of it."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    killed: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


class Crew:
    """All worker processes of one demo. Leaving the `with` block ends every one of them, whatever happened."""

    def __init__(self, folder: Path, url: str, pace: float) -> None:
        self.hands: list[Hand] = []
        self._folder = folder
        self._environment = {**os.environ, "JOBSWORTH_URL": url, "PHOTOS_PACE": str(pace), "PYTHONUNBUFFERED": "1"}

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self.dismiss()
        finally:
            for hand in self._alive():
                self._destroy(hand)

    def hire(self) -> Hand:
        """Start one more worker, as anybody would: `jobsworth worker app:jobs` in the folder of app.py."""
        name = f"worker-{len(self.hands) + 1}"
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            # A session of its own: Ctrl-C reaches the demo alone, which then ends its workers in order; and a worker
            # is killed with everything it may have started.
            process = subprocess.Popen(
                [*COMMAND, f"--name={name}"],
                cwd=HERE,
                env=self._environment,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        hand = Hand(name, process, log)
        self.hands.append(hand)
        return hand

    def hand_of(self, pid: int) -> Hand | None:
        """The hand whose process this is."""
        for hand in self.hands:
            if hand.pid == pid or _group_of(pid) == hand.pid:
                return hand
        return None

    def kill(self, hand: Hand) -> None:
        """`kill -9`: no goodbye, no last words."""
        hand.killed = True
        self._destroy(hand)

    def dismiss(self) -> None:
        """Ask those still there to finish (SIGTERM) and wait for them."""
        for hand in self._alive():
            hand.process.terminate()
        for hand in self._alive():
            try:
                hand.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._destroy(hand)

    def left_well(self) -> tuple[bool, str]:
        """Whether all have gone, and those that were not killed with exit code 0; and what each one's code is."""
        codes = {hand.name: hand.process.poll() for hand in self.hands}
        return all(codes[hand.name] == 0 or hand.killed for hand in self.hands), str(codes)

    def deserters(self) -> list[Hand]:
        """Those that ended, though nobody killed them or asked them to stop."""
        return [hand for hand in self.hands if not hand.alive and not hand.killed]

    def _alive(self) -> Iterable[Hand]:
        return [hand for hand in self.hands if hand.alive]

    def _destroy(self, hand: Hand) -> None:
        # Its session, and so its group, has its process's number. macOS says "not permitted" of a group that has ended.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(hand.pid, signal.SIGKILL)
        hand.process.wait()


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None  # gone already
