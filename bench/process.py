"""Child processes of a measurement: started with a log, stopped for certain, their CPU and memory read (Linux)."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_TICK = os.sysconf("SC_CLK_TCK")
_prctl = ctypes.CDLL(None).prctl if sys.platform.startswith("linux") else None  # looked up before any fork


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This environment, with `bench` importable and bytecode kept, as it is on a user's machine."""
    here = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    paths = [str(ROOT), *filter(None, [here.get("PYTHONPATH")])]
    return {**here, "PYTHONPATH": os.pathsep.join(paths), **extra}


def ends_with_me(how: signal.Signals) -> Callable[[], object]:
    """Between fork and exec: the child is sent this when its parent ends, however that ends."""
    assert _prctl is not None  # run.py has refused other systems
    return functools.partial(_prctl, 1, int(how))  # 1: PR_SET_PDEATHSIG


class Running(subprocess.Popen[bytes]):
    """A process whose output goes to a file."""

    def __init__(self, argv: Sequence[str], extra: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as out:
            super().__init__(
                list(argv), env=environment(extra), stdout=out, stderr=out, start_new_session=True, cwd=log.parent,
                preexec_fn=ends_with_me(signal.SIGKILL),
            )  # fmt: skip

    def last_words(self) -> str:
        """The end of what it wrote, in one line."""
        lines = self._log.read_text(errors="replace").split("\n")
        return f"its log ends: {' / '.join(line.strip() for line in lines if line.strip())[-300:] or '(nothing)'}"


@contextmanager
def running(argv: Sequence[str], extra: Mapping[str, str], log: Path, grace: float = 8.0) -> Iterator[Running]:
    """The process, in a session of its own; asked to stop at the end, killed with all it started after `grace` s."""
    process = Running(argv, extra, log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(process.pid, signal.SIGKILL)  # the session it leads: itself and what it started
        except ProcessLookupError:
            pass
        process.wait()


def family(pid: int) -> list[int]:
    """The process and everything it started."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := _stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time used so far by the process and everything it started, the already ended included."""
    return sum(sum(map(int, fields[11:15])) for member in family(pid) if (fields := _stat(member))) / _TICK


def resident_mib(pid: int) -> float:
    """Resident memory of the process and everything it started; shared pages count in each."""
    total = 0
    for member in family(pid):
        try:
            lines = Path(f"/proc/{member}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return total / 1024


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on (the name before it may hold anything)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()
