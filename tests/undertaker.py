"""Ends what a test run started when the run itself died before it could: what to end, by pid, and what to remove.

Run as a program it reads names from its standard input for as long as the test run lives. When that ends, in
whatever way (kill -9 included), it ends what is still on its list, removes the folders, and ends too. A process whose
pid somebody else has meanwhile is not on its list any more.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

POLITELY = 2.0  # seconds a server has between being asked to end and being killed


class Undertaker:
    """The test run's side. What it is told to forget it leaves alone."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(os.getpid())],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def folder(self, folder: Path) -> None:
        self._tell("folder", folder)

    def process(self, pid: int, politely: signal.Signals) -> None:
        self._tell("process", pid, int(politely))

    def forget(self, what: int | Path) -> None:
        self._tell("forget", what)

    def dismiss(self) -> None:
        """It ends what is still on its list, and itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _tell(self, *words: object) -> None:
        assert self._process.stdin is not None
        # One write of one line: whole, or not at all.
        os.write(self._process.stdin.fileno(), ("\t".join(map(str, words)) + "\n").encode())


_mine: dict[int, Undertaker] = {}  # by pid, since a test may fork


def dies_with_us(pid: int) -> None:
    """However this test run ends, this process and its children do not outlive it, were they stopped."""
    here = os.getpid()
    if here not in _mine:
        _mine[here] = Undertaker()
    _mine[here].process(pid, signal.SIGKILL)


def dismiss() -> None:
    """What was to die with us dies now."""
    undertaker = _mine.pop(os.getpid(), None)
    if undertaker is not None:
        undertaker.dismiss()


def alive(pid: int) -> bool:
    """True while a process runs; a zombie does not."""
    return _stat(pid)[0] not in "ZX"


def kill_family(pid: int) -> None:
    """kill -9 a process, its process group and its children, all at one stroke; returns when all are dead.

    PostgreSQL's processes each lead a group of their own, so the group alone is not enough. Stopped first, the
    process can neither have another child meanwhile nor notice that it is losing them.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    family = [pid, *children(pid)]
    for member in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: not permitted when all are zombies
        os.killpg(pid, signal.SIGKILL)
    _wait(family, 10)


def _stat(pid: int) -> tuple[str, int]:
    """A process's state and its parent; X when there is none of this pid."""
    if Path("/proc/self/stat").exists():
        try:
            state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            return "X", 0
        return state, int(parent)
    done = subprocess.run(["ps", "-o", "state=,ppid=", "-p", str(pid)], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    return (words[0][0], int(words[1])) if words else ("X", 0)


def born(pid: int) -> str:
    """When a process was started; empty if there is none of this pid."""
    if Path("/proc/self/stat").exists():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def children(parent: int) -> list[int]:
    """The processes whose parent it is."""
    if Path("/proc/self/stat").exists():
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in pids if _stat(pid)[1] == parent]
    done = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    return [int(pid) for pid, ppid in map(str.split, done.stdout.splitlines()) if int(ppid) == parent]


def _wait(pids: list[int], within: float) -> bool:
    deadline = time.monotonic() + within
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _listen(parent: int) -> tuple[dict[int, tuple[int, str]], set[str]]:
    """What is on the list when the parent is gone: its end of the pipe is closed, or it is no parent any more."""
    processes: dict[int, tuple[int, str]] = {}
    folders: set[str] = set()
    text = b""
    while True:
        if not select.select([0], [], [], 1)[0]:
            if os.getppid() != parent:  # a child that outlived the parent may hold the pipe open
                break
            continue
        piece = os.read(0, 65536)
        if not piece:
            break
        *lines, text = (text + piece).split(b"\n")
        for line in lines:
            match line.decode().split("\t"):
                case ["process", pid, politely]:
                    processes[int(pid)] = int(politely), born(int(pid))
                case ["folder", folder]:
                    folders.add(folder)
                case ["forget", what]:
                    folders.discard(what)
                    processes.pop(int(what) if what.isdigit() else -1, None)
    return processes, folders


def main(parent: int) -> None:
    listed, folders = _listen(parent)
    processes = {pid: politely for pid, (politely, since) in listed.items() if since and born(pid) == since}
    for pid, politely in processes.items():
        with contextlib.suppress(ProcessLookupError):
            if politely == signal.SIGKILL:
                kill_family(pid)
            else:
                os.kill(pid, politely)
    _wait(list(processes), POLITELY)
    for pid in processes:
        if alive(pid):
            kill_family(pid)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
