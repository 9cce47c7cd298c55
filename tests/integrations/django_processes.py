"""The test project's programs as processes of their own: its workers and its commands."""

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
    path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    command = [sys.executable, *(() if words[0] in (MANAGE, "-m") else ("-m", "jobsworth")), *words]
    with programs.running(command, folder, {**os.environ, "PYTHONPATH": path, **environment}) as program:
        yield program
