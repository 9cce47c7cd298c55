"""Reads the source of a Celery program and finds, line by line, what is otherwise here. Runs nothing of it.

It reads programs whose imports are still Celery's, and those whose imports have been changed.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from . import importing
from .app import _ABSENT
from .canvas import INSTEAD
from .exceptions import NotSupported
from .importing import CHANGE, DIFFERS, REFUSED_HERE
from .inspecting import HINTS as CONTROL_HINTS
from .place import elsewhere, engine_url
from .sending import IDLE, REFUSED
from .settings import CANVAS, RULES, name_of, verdict
from .task import AS_SETTING

__all__ = ["CHANGE", "DIFFERS", "REFUSED_HERE", "Finding", "Reading", "findings"]
_OF_CELERY = ("CELERY", "BROKER_")
_APPS = ("app", "celery", "celery_app")  # what programs call theirs
_DISTINCT = ("on_after_configure", "on_after_finalize", "on_configure", "add_periodic_task", "worker_main")
# What is otherwise in a program that says nothing of these settings.
BY_DEFAULT = {
    "task_acks_late": "a job whose worker dies runs again, as with task_acks_late=True in Celery; by default Celery "
    "would lose it. Say task_acks_late=True if its tasks bear that",
    "worker_pool": "tasks run in threads of one process; by default Celery has processes for them. Say "
    'worker_pool="threads" if its tasks bear that, else "prefork": then they run in child processes',
}


class _Unknown:
    """What the source does not tell."""

    def __repr__(self) -> str:
        return "..."


UNKNOWN = _Unknown()
_SOME_DICT = {UNKNOWN: UNKNOWN}


class Finding(NamedTuple):
    """line: from 1. kind: change (to be edited), differs (runs, but otherwise) or refused (raises)."""

    line: int
    kind: str
    text: str


class Reading(NamedTuple):
    """What a file says. app_line: where it makes its app, 0 for nowhere. said: of the settings in BY_DEFAULT those that
    it gives. configs: what it takes settings from."""

    findings: list[Finding]
    app_line: int
    said: frozenset[str]
    configs: list[str]


def read(source: str, *, config: bool = False) -> Reading:
    """Read one file. config: its top-level names are settings. Raises SyntaxError."""
    reader = _Reader(config)
    reader.visit(ast.parse(source))
    return Reading(sorted(dict.fromkeys(reader.found)), reader.app_line, frozenset(reader.said), reader.configs)


def findings(source: str) -> list[Finding]:
    """What is otherwise in a program of one file, in the order of the lines. Raises SyntaxError."""
    reading = read(source)
    return with_defaults(reading, reading.said)


def with_defaults(reading: Reading, said: Collection[str]) -> list[Finding]:
    """A file's findings, and in the line that makes its app what is otherwise because nobody has said anything of it.

    said: the settings that any file of the program gives.
    """
    unsaid = [text for name, text in BY_DEFAULT.items() if name not in said] if reading.app_line else []
    return sorted([*reading.findings, *(Finding(reading.app_line, DIFFERS, text) for text in unsaid)])


class _Reader(ast.NodeVisitor):
    def __init__(self, config: bool) -> None:
        self.found: list[Finding] = []
        self.app_line = 0
        self.said: set[str] = set()
        self.configs: list[str] = []
        self._config = config
        self._url = ""  # where the jobs live, as far as it was read
        self._celery: dict[str, str] = {}  # names that this file has from Celery, and what they are there
        self._apps: set[str] = set()  # names of apps
        self._tasks: set[str] = set()  # names of classes that are tasks

    def _say(self, node: ast.AST, kind: str, text: str) -> None:
        self.found.append(Finding(getattr(node, "lineno", 0), kind, text))

    # Imports.
    def visit_Import(self, node: ast.Import) -> None:
        for kind, text in importing.of_import(node):
            self._say(node, kind, text)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        given = importing.names_from_celery(node)
        self._celery |= given
        self._apps |= {name for name, there in given.items() if there == "current_app"}
        self._tasks |= {name for name, there in given.items() if there == "Task"}
        if node.level:  # from .celery import app
            self._apps |= {each.asname or each.name for each in node.names if each.name in _APPS}
        for kind, text in importing.of_from(node):
            self._say(node, kind, text)

    # Settings.
    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._assigned(node, target)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._assigned(node, node.target)
        self.generic_visit(node)

    def _assigned(self, node: ast.Assign | ast.AnnAssign, target: ast.expr) -> None:
        value = node.value
        assert value is not None
        if isinstance(target, ast.Attribute) and _ends_in_conf(target.value):
            self._setting(target.attr, value)
        elif isinstance(target, ast.Subscript) and _ends_in_conf(target.value):
            if isinstance(key := _literal(target.slice), str):
                self._setting(key, value)
        elif isinstance(target, ast.Name):
            if isinstance(value, ast.Call) and _called(value) == "Celery":
                self._apps.add(target.id)
            name = self._setting_of(target.id)
            if name is not None:
                self._setting(name, value)

    def _setting_of(self, name: str) -> str | None:
        """The setting that a module's or class's variable of that name is."""
        if name.isupper() and (self._config or name.startswith(_OF_CELERY)):
            names = (name_of(name), name_of(name, "CELERY"))
            return next((each for each in names if each in RULES), None)
        return name if self._config and name in RULES else None

    def _setting(self, given: str, value: ast.expr) -> None:
        name, literal = name_of(given) or given, _literal(value)
        if name in BY_DEFAULT and literal is not False:
            self.said.add(name)
        if name not in RULES:
            self._say(value, REFUSED_HERE, f"{given}: Celery has no such setting")
        elif name == "broker_url" and isinstance(literal, str):
            try:
                self._url = engine_url(literal)
            except NotSupported as exc:
                self._say(value, REFUSED_HERE, f"{exc.message}: {exc.hint}")
        elif name == "result_backend" and isinstance(literal, str):
            if elsewhere(self._url, literal):
                self._say(value, DIFFERS, f"result_backend has no effect: {RULES['database_url'].text}")
        elif literal is UNKNOWN:
            if RULES[name].kind in ("idle", "refused"):
                self._say(value, DIFFERS, f"{name} may have no effect, or be refused: {RULES[name].text}")
        elif (broken := verdict(name, literal)) is not None:
            self._judge(value, f"{name}={_shown(literal)}", broken.kind, broken.text)

    def _judge(self, node: ast.AST, what: str, rule: str, text: str) -> None:
        kind, said = (REFUSED_HERE, "is refused") if rule == "refused" else (DIFFERS, "has no effect")
        self._say(node, kind, f"{what} {said}: {text}")

    # Classes.
    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any(_last(base) in self._tasks for base in node.bases):
            self._tasks.add(node.name)
            for each in node.body:
                if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name):
                    self._task_option(each.targets[0].id, each.value)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        whose = node.value.id if isinstance(node.value, ast.Name) else ""
        if node.attr in _ABSENT and (whose in self._apps or (whose and node.attr in _DISTINCT)):
            self._say(node, REFUSED_HERE, f"{whose}.{node.attr}: {_ABSENT[node.attr]}")
        self.generic_visit(node)

    # Calls.
    def visit_Call(self, node: ast.Call) -> None:
        name, method = _called(node), isinstance(node.func, ast.Attribute)
        if name == "Celery":
            self.app_line = self.app_line or node.lineno
            self._settings_of(node, {"broker": "broker_url", "backend": "result_backend"})
        elif name == "update" and isinstance(node.func, ast.Attribute) and _ends_in_conf(node.func.value):
            self._settings_of(node, {})
        elif name == "config_from_object":
            self.configs += [where for each in node.args if (where := _config_of(each))]
        elif name in ("task", "shared_task", "periodic_task"):
            for option, value in _keywords(node):
                self._task_option(option, value)
        elif name in ("apply_async", "send_task"):
            self._sending(node)
        elif name == "retry":
            self._retry(node)
        elif name in CONTROL_HINTS and isinstance(node.func, ast.Attribute) and _is_control(node.func.value):
            self._say(node, REFUSED_HERE, f"control.{name}(): {CONTROL_HINTS[name]}")
        refusal = importing.refusal_of("chunks" if method and name == "chunks" else self._celery.get(name, ""))
        if refusal:
            self._say(node, REFUSED_HERE, f"{name}(): {refusal}{f'; {INSTEAD}' if refusal == CANVAS else ''}")
        self.generic_visit(node)

    def _settings_of(self, node: ast.Call, renamed: dict[str, str]) -> None:
        for name, value in _keywords(node):
            known = renamed.get(name, name)
            if renamed and known not in RULES:
                continue  # main, task_cls and the like
            self._setting(known, value)

    def _task_option(self, name: str, value: ast.expr) -> None:
        literal, setting = _literal(value), AS_SETTING.get(name)
        if name == "acks_late" and literal is True:
            return
        if setting and literal is not UNKNOWN and literal != RULES[setting].default:
            broken = verdict(setting, literal)
            if broken is not None:
                self._judge(value, f"{name}={_shown(literal)}", broken.kind, broken.text)
        if name in ("time_limit", "soft_time_limit"):
            self._say(value, DIFFERS, f"{name}: the task runs in a child process, unless worker_pool says otherwise")

    def _sending(self, node: ast.Call) -> None:
        for name, value in _keywords(node):
            if name in REFUSED:
                self._say(value, REFUSED_HERE, f"{name}= is refused: {REFUSED[name]}")
            elif name in IDLE:
                self._say(value, DIFFERS, f"{name}= has no effect: {IDLE[name]}")
            elif name == "serializer" and _literal(value) not in ("json", None, UNKNOWN):
                self._say(value, REFUSED_HERE, f"serializer={_literal(value)!r}: {RULES['task_serializer'].text}")

    def _retry(self, node: ast.Call) -> None:
        known = {"exc", "countdown", "eta", "max_retries", "throw", "args", "kwargs", "queue", "priority", "expires"}
        for name, value in _keywords(node):
            if name not in known and isinstance(node.func, ast.Attribute):
                self._say(value, DIFFERS, f"retry({name}=) is refused if it changes the job: apply_async() a new one")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.BitOr) and _is_signature(node.left) and _is_signature(node.right):
            self._say(node, REFUSED_HERE, f"a | b: {CANVAS}; {INSTEAD}")
        self.generic_visit(node)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return _SOME_DICT if isinstance(node, ast.Dict) else UNKNOWN


def _config_of(node: ast.expr) -> str | None:
    """What config_from_object() is given: "package.module", "package.module:Class" or a name of this file."""
    found = _literal(node)
    return found if isinstance(found, str) else _last(node) if isinstance(node, (ast.Name, ast.Attribute)) else None


def _called(node: ast.Call) -> str:
    return _last(node.func)


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


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
