"""Reads the source of a Celery program and finds, line by line, what is otherwise here. Runs nothing of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple

from . import signals
from .canvas import INSTEAD
from .exceptions import NotSupported
from .inspecting import HINTS as CONTROL_HINTS
from .place import engine_url
from .sending import IDLE, REFUSED
from .settings import CANVAS, RULES, name_of, verdict
from .task import AS_SETTING

CHANGE, DIFFERS, REFUSED_HERE = "change", "differs", "refused"
_OURS = "jobsworth.integrations.celery"
_HERE = ("result", "exceptions", "signals", "states", "canvas", "utils.log")
_COMPOSE = ("chain", "group", "chord", "chunks", "xmap", "xstarmap")
_NAMES = (
    "Celery",
    "Task",
    "shared_task",
    "current_app",
    "current_task",
    "signature",
    "Signature",
    "subtask",
    *_COMPOSE,
)
UNKNOWN = object()
RUNS_AGAIN = (
    "a job whose worker dies runs again, as with task_acks_late=True in Celery; by default Celery would lose it. "
    "Say task_acks_late=True if its tasks bear that"
)


class Finding(NamedTuple):
    """line: from 1. kind: change (to be edited), differs (runs, but otherwise) or refused (raises)."""

    line: int
    kind: str
    text: str


def findings(source: str) -> list[Finding]:
    """What is otherwise, in the order of the lines. Raises SyntaxError."""
    reader = _Reader()
    reader.visit(ast.parse(source))
    if reader.app_line and not reader.acks_late:
        reader.found.append(Finding(reader.app_line, DIFFERS, RUNS_AGAIN))
    return sorted(dict.fromkeys(reader.found))


class _Reader(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.app_line = 0
        self.acks_late = False
        self._celery: set[str] = set()  # names that this file has from Celery

    def _say(self, node: ast.AST, kind: str, text: str) -> None:
        self.found.append(Finding(getattr(node, "lineno", 0), kind, text))

    # Imports.
    def visit_Import(self, node: ast.Import) -> None:
        for each in node.names:
            if each.name.partition(".")[0] == "celery":
                self._say(node, CHANGE, f"import {each.name} -> from {_OURS} import ...")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level or module.partition(".")[0] not in ("celery", "kombu", "billiard"):
            return
        below = module.removeprefix("celery").removeprefix(".")
        self._celery |= {each.asname or each.name for each in node.names}
        if module.startswith("celery") and (not below or below in _HERE or below == "app.task"):
            ours = _OURS if below in ("", "app.task") else f"{_OURS}.{below}"
            self._say(node, CHANGE, f"from {module} import -> from {ours} import")
        else:
            self._say(node, REFUSED_HERE, f"{module} is not here{_INSTEAD_OF.get(module, '')}")
        for each in node.names:
            if not below and each.name not in _NAMES:
                self._say(node, REFUSED_HERE, f"celery.{each.name} is not here")
            if below == "signals" and each.name in signals.UNSENT:
                self._say(node, DIFFERS, f"{each.name} is never sent: {signals.UNSENT[each.name]}")

    # Settings.
    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            if isinstance(target, ast.Attribute) and _ends_in_conf(target.value):
                self._setting(node, target.attr, node.value)
            elif isinstance(target, ast.Name) and target.id.isupper():
                name = name_of(target.id) or name_of(target.id, "CELERY")
                if name in RULES:
                    self._setting(node, name, node.value)
        self.generic_visit(node)

    def _setting(self, node: ast.AST, given: str, value: ast.expr) -> None:
        name, literal = name_of(given) or given, _literal(value)
        if name == "task_acks_late":
            self.acks_late = True
        if name not in RULES:
            self._say(value, REFUSED_HERE, f"{given}: Celery has no such setting")
        elif name == "broker_url" and isinstance(literal, str):
            try:
                engine_url(literal)
            except NotSupported as exc:
                self._say(value, REFUSED_HERE, f"{exc.message}: {exc.hint}")
        elif literal is UNKNOWN:
            if RULES[name].kind in ("idle", "refused"):
                self._say(value, DIFFERS, f"{name} may have no effect, or be refused: {RULES[name].text}")
        elif (broken := verdict(name, literal)) is not None:
            kind = REFUSED_HERE if broken.kind == "refused" else DIFFERS
            self._say(value, kind, f"{name}={literal!r} {_said(kind)}: {broken.text}")
        del node

    # Calls.
    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == "Celery":
            self.app_line = self.app_line or node.lineno
            self._settings_of(node, {"broker": "broker_url", "backend": "result_backend"})
        elif name == "update" and isinstance(node.func, ast.Attribute) and _ends_in_conf(node.func.value):
            self._settings_of(node, {})
        elif name in ("task", "shared_task", "periodic_task"):
            self._task(node)
        elif name in ("apply_async", "send_task"):
            self._sending(node)
        elif name == "retry":
            self._retry(node)
        elif name in _COMPOSE and (name in self._celery or isinstance(node.func, ast.Attribute)):
            if name in self._celery or name == "chunks":
                self._say(node, REFUSED_HERE, f"{name}(): {CANVAS}; {INSTEAD}")
        elif name == "add_periodic_task":
            self._say(node, REFUSED_HERE, f"add_periodic_task(): {RULES['beat_schedule'].text}")
        elif name in CONTROL_HINTS and isinstance(node.func, ast.Attribute) and _is_control(node.func.value):
            self._say(node, REFUSED_HERE, f"control.{name}(): {CONTROL_HINTS[name]}")
        self.generic_visit(node)

    def _settings_of(self, node: ast.Call, renamed: dict[str, str]) -> None:
        for name, value in _keywords(node):
            known = renamed.get(name, name)
            if renamed and known not in RULES:
                continue  # main, task_cls and the like
            self._setting(node, known, value)

    def _task(self, node: ast.Call) -> None:
        for name, value in _keywords(node):
            literal, setting = _literal(value), AS_SETTING.get(name)
            if name == "acks_late":
                continue
            if setting and literal is not UNKNOWN and literal != RULES[setting].default:
                broken = verdict(setting, literal)
                if broken is not None:
                    kind = REFUSED_HERE if broken.kind == "refused" else DIFFERS
                    self._say(value, kind, f"{name}={literal!r} {_said(kind)}: {broken.text}")
            if name in ("time_limit", "soft_time_limit"):
                self._say(
                    value, DIFFERS, f"{name}: the task runs in a child process, unless worker_pool says otherwise"
                )

    def _sending(self, node: ast.Call) -> None:
        for name, value in _keywords(node):
            if name in REFUSED:
                self._say(value, REFUSED_HERE, f"{name}= is refused: {REFUSED[name]}")
            elif name in IDLE:
                self._say(value, DIFFERS, f"{name}= has no effect: {IDLE[name]}")
            elif name == "serializer" and _literal(value) not in ("json", None, UNKNOWN):
                self._say(value, REFUSED_HERE, f"serializer={_literal(value)!r}: {RULES['task_serializer'].text}")

    def _retry(self, node: ast.Call) -> None:
        known = {"exc", "countdown", "eta", "max_retries", "throw"}
        for name, value in _keywords(node):
            if name not in known and isinstance(node.func, ast.Attribute):
                self._say(value, DIFFERS, f"retry({name}=) is refused if it changes the job: apply_async() a new one")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.BitOr) and _is_signature(node.left) and _is_signature(node.right):
            self._say(node, REFUSED_HERE, f"a | b: {CANVAS}; {INSTEAD}")
        self.generic_visit(node)


_INSTEAD_OF = {
    "celery.schedules": f": {RULES['beat_schedule'].text}", "kombu": ": a queue is its name",
    "celery.contrib.abortable": ": control.revoke() and current_job().check_cancelled()",
}  # fmt: skip


def _said(kind: str) -> str:
    return "is refused" if kind == REFUSED_HERE else "has no effect"


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return UNKNOWN


def _keywords(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    """By name: keywords, and the entries of a dict that is given by position."""
    for each in node.keywords:
        if each.arg is not None:
            yield each.arg, each.value
    for given in node.args:
        for key, value in zip(given.keys, given.values, strict=True) if isinstance(given, ast.Dict) else ():
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value


def _ends_in_conf(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "conf"


def _is_control(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return _is_control(node.func)
    return isinstance(node, ast.Attribute) and node.attr in ("control", "inspect")


def _is_signature(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_signature(node.right)
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr in ("s", "si", "signature", "subtask")
