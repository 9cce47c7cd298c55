"""A network of its own for a program that listens on a fixed port, so that any number of them can run side by side.

Where networks cannot be had (macOS, some containers) the program is run here, on its own port, one at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from private_server import Missing
from undertaker import dies_with_us, kill_family

UNSHARE = ("unshare", "--map-root-user", "--net")
INSIDE = Path(__file__).with_name("inside_network.py")


@contextmanager
def in_own_network(port: int, command: Sequence[str], **more: Any) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The running command and where its port is reached. It ends with the block, whatever happens.

    Raises Missing where there is neither a network to be had nor the port to be used here.
    """
    if networks():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            outside = listener.getsockname()[1]
            here = [*UNSHARE, sys.executable, str(INSIDE), str(listener.fileno()), str(port)]
            process = subprocess.Popen([*here, *command], text=True, pass_fds=[listener.fileno()], **more)
        with running(process):
            yield process, outside
        return
    with _alone_on(port), running(subprocess.Popen(command, text=True, **more)) as process:
        yield process, port


@functools.cache
def networks() -> bool:
    """Whether this machine lets us make a network."""
    return (
        shutil.which("unshare") is not None and not subprocess.run([*UNSHARE, "true"], capture_output=True).returncode
    )


@contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    dies_with_us(process.pid)
    try:
        yield process
    finally:
        if process.poll() is None:
            kill_family(process.pid)
        process.wait()


@contextmanager
def _alone_on(port: int) -> Iterator[None]:
    """The only one of all test processes of this machine that uses the port."""
    with (Path(tempfile.gettempdir()) / f"jobsworth-port-{port}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                raise Missing(f"port {port} is in use by another program, and no network of our own can be made")
        yield
