"""What becomes of a line that imports Celery, or a part of it: for `jobsworth celery-check`."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator

from . import signals
from .settings import CANVAS, RULES

CHANGE, DIFFERS, REFUSED_HERE = "change", "differs", "refused"
OURS = "jobsworth.integrations.celery"
_HERE = {
    "": "", "app": "", "app.task": "", "app.base": "", "result": "result", "exceptions": "exceptions",
    "signals": "signals", "states": "states", "canvas": "canvas", "utils.log": "utils.log",
}  # fmt: skip
_REFUSING = {
    "chain": CANVAS, "group": CANVAS, "chord": CANVAS, "chunks": CANVAS, "xmap": CANVAS, "xstarmap": CANVAS,
    "GroupResult": CANVAS, "ResultSet": CANVAS, "allow_join_result": "result.get(disable_sync_subtasks=False)",
}  # fmt: skip
_INSTEAD_OF = {
    "celery.schedules": RULES["beat_schedule"].text, "celery.beat": RULES["beat_schedule"].text,
    "celery.contrib.abortable": "control.revoke() and current_job().check_cancelled()",
    "celery.contrib.testing": "the fixtures of jobsworth.testing", "celery.contrib.pytest": "pytest finds jobsworth's",
    "celery.task": "it is gone from Celery, too: from celery import shared_task",
    "celery.bin": "jobsworth --help", "celery.apps": "jobsworth worker",
}  # fmt: skip


def of_import(node: ast.Import) -> Iterator[tuple[str, str]]:
    """(kind, text) for `import celery`."""
    for each in node.names:
        if each.name.partition(".")[0] == "celery":
            yield CHANGE, f"import {each.name} -> from {OURS} import ..."


def of_from(node: ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """(kind, text) for `from celery.x import a, b`, and for what is imported from here already."""
    module = node.module or ""
    top = module.partition(".")[0]
    if node.level or not (top in ("celery", "kombu", "billiard") or module.startswith(OURS)):
        return
    if top in ("kombu", "billiard"):
        yield DIFFERS, f"{module} comes with Celery: install it by itself. Of a Queue only its name is heeded"
        return
    below = module.removeprefix(OURS if module.startswith(OURS) else "celery").removeprefix(".")
    if below not in _HERE:
        instead = next((text for name, text in _INSTEAD_OF.items() if module.startswith(name)), "")
        yield REFUSED_HERE, f"{module} is not here{instead and f': {instead}'}"
        return
    ours = f"{OURS}.{_HERE[below]}".removesuffix(".")
    if top == "celery":
        yield CHANGE, f"from {module} import -> from {ours} import"
    known = importlib.import_module(ours)
    for each in node.names:
        if below == "signals" and each.name in signals.UNSENT:
            yield DIFFERS, f"{each.name} is never sent: {signals.UNSENT[each.name]}"
        elif each.name in _REFUSING and below != "canvas":
            continue  # told where it is used
        elif each.name != "*" and not hasattr(known, each.name):
            yield REFUSED_HERE, f"{module}.{each.name} is not here"


def refusal_of(name: str) -> str | None:
    """Why calling that name, imported from Celery, is refused."""
    return _REFUSING.get(name)


def names_from_celery(node: ast.ImportFrom) -> dict[str, str]:
    """Names that this import gives a file, and what each is called in Celery."""
    module = node.module or ""
    if node.level or not (module.partition(".")[0] == "celery" or module.startswith(OURS)):
        return {}
    return {each.asname or each.name: each.name for each in node.names}
