"""`jobsworth celery-check`: what will be otherwise when a Celery program moves here, line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from jobsworth.errors import AppNotFound

from .reading import REFUSED_HERE, Finding, findings

FAILED = 1


def celery_check(*programs: str) -> int:
    """Read a Celery program and say, line by line, what will be otherwise here. Runs nothing of it.

    For example:
      jobsworth celery-check tasks.py
      jobsworth celery-check proj.celery proj.tasks
      jobsworth celery-check .

    Of each line: change, what is to be edited; differs, what runs but has another effect; refused, what raises. Celery
    need not be installed. Exit code 1 if something is refused.

    Parameters
    ----------
    programs
        Files, folders or modules; module:app works too. This folder if none is given.
    """
    told: list[Finding] = []
    for path in dict.fromkeys(each for program in programs or (".",) for each in _files(program)):
        told += _told(path)
    refused = sum(each.kind == REFUSED_HERE for each in told)
    print(f"{len(told)} lines to look at, {refused} of them refused" if told else "nothing is otherwise here")  # noqa: T201
    return FAILED if refused else 0


def _told(path: Path) -> list[Finding]:
    try:
        found = findings(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as exc:
        print(f"{path}: cannot be read: {exc}", file=sys.stderr)  # noqa: T201
        return []
    for each in found:
        print(f"{path}:{each.line}: {each.kind}: {each.text}")  # noqa: T201
    return found


def _files(program: str) -> Iterator[Path]:
    """The sources that a person names. Raises AppNotFound (E102)."""
    name = program.partition(":")[0]
    path = Path(name)
    if path.is_dir():
        yield from sorted(
            each
            for each in path.rglob("*.py")
            if not any(part.startswith(".") for part in each.relative_to(path).parts)
        )
        return
    dotted = Path(*name.split("."))
    for each in (path, dotted.with_suffix(".py"), dotted / "__init__.py"):
        if each.is_file():
            yield each
            return
    raise AppNotFound(f"there is no file, folder or module {name!r} here", hint="run it in the folder that holds it")
