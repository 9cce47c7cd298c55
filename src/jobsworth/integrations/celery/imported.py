"""Looks at a Celery app that has been imported: its settings as they are, wherever they came from, and its tasks."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from jobsworth.errors import AppImportFailed, AppNotFound

from .exceptions import NotSupported
from .importing import DIFFERS, REFUSED_HERE
from .place import engine_url
from .settings import RULES, Rule, verdict
from .task import AS_SETTING


class Told(NamedTuple):
    """A finding, and the file or app it is about. line: 0 where there is none."""

    file: str
    line: int
    kind: str
    text: str


def of_app(spec: str) -> Iterator[Told]:
    """Import "module:app" and look at it. Raises AppNotFound (E102) or AppImportFailed."""
    module, _, attribute = spec.partition(":")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 (what imports look through are strings)
    try:
        found = importlib.import_module(module)
    except NotSupported as exc:  # its imports are changed already: this is what it will meet
        frames = [frame for frame in traceback.extract_tb(exc.__traceback__) if _own(frame.filename)]
        file, line = (os.path.relpath(frames[-1].filename), frames[-1].lineno or 0) if frames else (spec, 0)
        yield Told(file, line, REFUSED_HERE, _said(exc))
        return
    except Exception as exc:
        raise AppImportFailed(f"{module} cannot be imported: {type(exc).__name__}: {exc}") from exc
    finally:
        sys.path.pop(0)
    app = _app(found, attribute)
    if app is None:
        raise AppNotFound(f"there is no Celery app in {spec!r}", hint="name it: module:app")
    yield from _settings(spec, app.conf)
    for name, task in sorted(app.tasks.items()):
        if not name.startswith("celery."):
            yield from _task(task, app.Task)


def _own(file: str) -> bool:
    return os.sep + os.path.join("integrations", "celery") + os.sep not in file and "importlib" not in file  # noqa: PTH118


def _app(module: Any, attribute: str) -> Any:
    if attribute:
        return getattr(module, attribute, None)
    apps = [each for each in vars(module).values() if isinstance(getattr(each, "tasks", None), Mapping)]
    return next((each for each in apps if hasattr(each, "conf") and hasattr(each, "send_task")), None)


def _settings(spec: str, conf: Mapping[str, Any]) -> Iterator[Told]:
    for name, rule in RULES.items():
        try:
            value = conf[name]
        except KeyError:  # of another version of Celery
            continue
        broken = None if value == rule.default else verdict(name, value)
        if broken is not None:
            yield _judged(spec, 0, f"{name}={_shown(name, value)}", broken)
    try:
        engine_url(conf["broker_url"])
    except NotSupported as exc:
        yield Told(spec, 0, REFUSED_HERE, _said(exc))


def _task(task: Any, base: Any) -> Iterator[Told]:
    code = getattr(inspect.unwrap(task.run), "__code__", None)
    file, line = (os.path.relpath(code.co_filename), code.co_firstlineno) if code else (task.name, 0)
    for option, setting in AS_SETTING.items():
        value = getattr(task, option, None)
        given = value is not None and value != getattr(base, option, None)
        if given and (broken := verdict(setting, value)) is not None:
            yield _judged(file, line, f"{task.name}: {option}={_shown(option, value)}", broken)


def _judged(file: str, line: int, what: str, broken: Rule) -> Told:
    refused = broken.kind == "refused"
    said = "is refused" if refused else "has no effect"
    return Told(file, line, REFUSED_HERE if refused else DIFFERS, f"{what} {said}: {broken.text}")


def _shown(name: str, value: Any) -> str:
    text = "..." if name.endswith(("_url", "_key", "_password", "_options", "_settings")) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _said(exc: NotSupported) -> str:
    return f"{exc.message}: {exc.hint}"
