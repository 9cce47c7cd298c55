"""Finding the program's Jobsworth: "app:jobs", "app.py", "package.module:name", or whatever the folder offers.

What is imported is named by the person at the command line or by the program itself, never by data in a job.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from .app import Jobsworth
from .errors import AppImportFailed, AppNotFound
from .suggest import did_you_mean
from .worker.spec import FILE_PREFIX

CANDIDATES = ("app.py", "jobs.py", "main.py")  # looked at, in this order, when nobody names one
DJANGO = "jobsworth.integrations.django.program:jobs"  # in a Django project: whatever its settings say
_SETTINGS = "DJANGO_SETTINGS_MODULE"


def locate(spec: str) -> Jobsworth:
    """The Jobsworth named by `module:attribute`, `module` or `file.py[:attribute]`.

    Where a framework's app is named instead, or nothing in a module that holds none, it is the one that was made while
    the module was imported. Raises AppImportFailed (E101) or AppNotFound (E102).
    """
    where, _, attribute = spec.partition(":")
    if where.endswith(".py") and not Path(where).is_file():
        raise AppNotFound(f"there is no file {where!r} in {Path.cwd()}")
    before = set(Jobsworth.made)
    module = _load_file(Path(where), spec) if where.endswith(".py") else _import(where, spec)
    within = [each for each in set(Jobsworth.made) - before if each.queues]
    if attribute:
        return _attribute(module, attribute, where, within)
    return _only(module, where, within)


def default_spec() -> str | None:
    """$JOBSWORTH_APP, else the first of CANDIDATES here that mentions Jobsworth, else the Django project that this is.

    None if there is nothing of the kind.
    """
    named = os.environ.get("JOBSWORTH_APP")
    if named:
        return named
    django = _SETTINGS in os.environ or _SETTINGS in _text(Path("manage.py"))
    for name in CANDIDATES:
        text = _text(Path(name))
        # Of a Django project such a file is a part, which cannot be imported before the project is set up.
        if "jobsworth" in text.lower() and not (django and "jobsworth.integrations.django" in text):
            return name
    return DJANGO if django else None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _import(name: str, spec: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        raise _import_failed(spec, name, exc) from exc


def _load_file(path: Path, spec: str) -> ModuleType:
    """Import a file under a name of its own, with its folder importable as it is for a script."""
    path = path.resolve()
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    # A file that an ordinary import finds is imported that way, so that it is not there twice.
    found = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
    if found is not None and found.origin and Path(found.origin).resolve() == path:
        return _import(path.stem, spec)
    name = f"{FILE_PREFIX}{path.stem}"
    made = importlib.util.spec_from_file_location(name, path)
    assert made is not None
    assert made.loader is not None
    module = importlib.util.module_from_spec(made)
    sys.modules[name] = module
    try:
        made.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as exc:
        del sys.modules[name]
        raise _import_failed(spec, path.name, exc) from exc
    return module


def _import_failed(spec: str, name: str, exc: BaseException) -> AppImportFailed:
    if isinstance(exc, ModuleNotFoundError) and exc.name == name.split(".")[0]:
        return AppImportFailed(
            f'could not import "{spec}": there is no module {name!r}',
            hint=f"run it in the folder that holds it, or name the file: {name.replace('.', '/')}.py",
        )
    frames = [
        frame
        for frame in traceback.extract_tb(exc.__traceback__)
        if "importlib" not in frame.filename and Path(frame.filename).name != Path(__file__).name
    ]
    place = f"\n  {Path(frames[-1].filename).name}:{frames[-1].lineno}  " if frames else "\n  "
    hint = None
    if isinstance(exc, ModuleNotFoundError):
        hint = "run inside the project's environment, for example with `uv run`"
    return AppImportFailed(f'could not import "{spec}"{place}{type(exc).__name__}: {exc}', hint=hint)


def _attribute(module: ModuleType, attribute: str, where: str, within: list[Jobsworth]) -> Jobsworth:
    value = getattr(module, attribute, None)
    if isinstance(value, Jobsworth):
        return value
    if value is not None and len(within) == 1:
        return within[0]
    there = [name for name, each in vars(module).items() if isinstance(each, Jobsworth)]
    what = "is not there" if value is None else f"is a {type(value).__name__}, not a Jobsworth"
    raise AppNotFound(f"{where}:{attribute}: {attribute!r} {what}", hint=did_you_mean(attribute, there))


def _only(module: ModuleType, where: str, within: list[Jobsworth]) -> Jobsworth:
    found = {id(each): (name, each) for name, each in vars(module).items() if isinstance(each, Jobsworth)}
    if len(found) == 1:
        return next(iter(found.values()))[1]
    if not found and len(within) == 1:
        return within[0]
    if not found:
        raise AppNotFound(f"{where} holds no Jobsworth", hint="write `jobs = Jobsworth()` at its top level")
    names = ", ".join(f"{where}:{name}" for name, _ in found.values())
    raise AppNotFound(f"{where} holds {len(found)} of them", hint=f"say which: {names}")
