"""The test project's programs as processes of their own: its servers, its workers, its commands."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django_here import HERE

import programs
from programs import Program

MANAGE = "manage.py"


@contextmanager
def running(folder: Path, *words: str, **environment: str) -> Iterator[Program]:
    """manage.py, a module (-m) or a command of jobsworth's, in a folder that holds the project's manage.py."""
    if not (folder / MANAGE).exists():
        shutil.copy(HERE / "django_site" / MANAGE, folder)
    inherited = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    command = [sys.executable, *(() if words[0] in (MANAGE, "-m") else ("-m", "jobsworth")), *words]
    with programs.running(command, folder, {**inherited, "PYTHONPATH": path, **environment}) as program:
        yield program


@contextmanager
def serving(folder: Path, port: int, *words: str, **environment: str) -> Iterator[tuple[Program, str]]:
    """A server of the project that answers, and its address."""
    with running(folder, *words, **environment) as program:
        url = f"http://127.0.0.1:{port}"
        program.answers(f"{url}/background/livez")
        yield program, url
