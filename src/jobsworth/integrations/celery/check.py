"""`jobsworth celery-check`: what will be otherwise when a Celery program moves here, line by line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from jobsworth.cli.terminal import put, put_json
from jobsworth.errors import AppNotFound
from jobsworth.wording import count

from .imported import Told, of_app
from .reading import REFUSED_HERE, Finding, Reading, read, with_defaults

FAILED = 1
UNREAD = "unread"
_CONFIG = "celeryconfig"  # the module that Celery itself looks for


def celery_check(
    *programs: str,
    load: Annotated[str | None, Parameter(name="--import", metavar="APP")] = None,
    json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Read a Celery program and say, line by line, what will be otherwise here. Runs nothing of it unless told to.

    For example:
      jobsworth celery-check tasks.py
      jobsworth celery-check proj.celery proj.tasks
      jobsworth celery-check . --json
      jobsworth celery-check . --import proj.celery:app

    Of each line: change, what is to be edited; differs, what runs but has another effect; refused, what raises; unread,
    a file that is no Python. Celery need not be installed, and a program whose imports are changed already is read as
    well. Name all of its files, or their folder: settings of one file count for the others. Exit code 1 if something
    is refused or unread.

    Parameters
    ----------
    programs
        Files, folders or modules; module:app works too. This folder if none is given.
    load
        Import this app, too, and look at its settings as they are and at the options of its tasks. With Celery
        installed, if that is what it imports.
    json
        Answer with one JSON document on stdout.
    """
    paths = list(dict.fromkeys(each for program in programs or (".",) for each in _files(program)))
    told = list(_told(paths))
    if load is not None:
        told += of_app(load)
    failed = sum(each.kind in (REFUSED_HERE, UNREAD) for each in told)
    if json:
        put_json({"files": len(paths), "refused": failed, "findings": [each._asdict() for each in told]})
    else:
        for each in told:
            put(f"{each.file}{f':{each.line}' if each.line else ''}: {each.kind}: {each.text}")
        put(f"{count(len(told), 'finding')}, {failed} of them refused" if told else "nothing is otherwise here")
    return FAILED if failed else 0


def _told(paths: list[Path]) -> Iterator[Told]:
    first = {path: _read(path) for path in paths}
    readings = [each for each in first.values() if isinstance(each, Reading)]
    configs = {name for reading in readings for name in reading.configs}
    found = {
        path: _read(path, config=True) if isinstance(each, Reading) and _is_config(path, each, configs) else each
        for path, each in first.items()
    }
    said = {name for each in found.values() if isinstance(each, Reading) for name in each.said}
    for path, each in found.items():
        if isinstance(each, Finding):
            yield Told(str(path), *each)
            continue
        for finding in with_defaults(each, said):
            yield Told(str(path), *finding)


def _read(path: Path, *, config: bool = False) -> Reading | Finding:
    try:
        return read(path.read_text(encoding="utf-8"), config=config)
    except SyntaxError as exc:
        return Finding(exc.lineno or 0, UNREAD, exc.msg)
    except UnicodeDecodeError as exc:
        return Finding(0, UNREAD, str(exc))


def _is_config(path: Path, reading: Reading, configs: Iterable[str]) -> bool:
    """Whether a file's names are settings: config_from_object() somewhere names it, or one of its own classes."""
    if path.stem == _CONFIG:
        return True
    parts = path.with_suffix("").parts
    for name in configs:
        dotted = tuple(name.partition(":")[0].split("."))
        if any(parts[-len(each) :] == each for each in (dotted, dotted[:-1]) if each):
            return True
    return any("." not in name and name[:1].isupper() for name in reading.configs)


def _files(program: str) -> Iterator[Path]:
    """The sources that a person names. Raises AppNotFound (E102)."""
    name = program.partition(":")[0]
    path = Path(name)
    if path.is_dir():
        yield from sorted(each for each in path.rglob("*.py") if not _foreign(each, path))
        return
    dotted = Path(*name.split("."))
    for each in (path, dotted.with_suffix(".py"), dotted / "__init__.py"):
        if each.is_file():
            yield each
            return
    raise AppNotFound(f"there is no file, folder or module {name!r} here", hint="run it in the folder that holds it")


def _foreign(path: Path, folder: Path) -> bool:
    """Whether a file below a folder is not the program's own: hidden, or in a virtual environment."""
    parts = path.relative_to(folder).parts
    if any(part.startswith(".") or part in ("site-packages", "node_modules", "__pycache__") for part in parts):
        return True
    return any((above / "pyvenv.cfg").exists() for above in path.parents if folder in (above, *above.parents))
