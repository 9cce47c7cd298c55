"""`app.conf`: Celery's settings, each heeded, harmless, warned of or refused as `settings.py` says."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from types import MappingProxyType, ModuleType
from typing import Any

from jobsworth.errors import BadOption
from jobsworth.suggest import did_you_mean

from .exceptions import NotSupported, differs
from .settings import RULES, name_of, verdict

_OURS = ("_values", "_changed")


class Settings(MutableMapping[str, Any]):
    """Read and written as attributes, as a mapping, or many at once with update(). Names older than Celery 4 work too.

    Raises NotSupported (E105) for what is refused here, BadOption for what is no setting; warns of what has no effect.
    """

    _values: dict[str, Any]
    _changed: Callable[[], None]

    def __init__(self, changed: Callable[[], None]) -> None:
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_changed", changed)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"Celery has no setting {name!r}; {did_you_mean(name, RULES)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __getitem__(self, name: str) -> Any:
        known = name_of(name) or name
        if known in self._values:
            return self._values[known]
        default = RULES[known].default
        # A change of a shared default would be heeded by nobody: it raises.
        return MappingProxyType(default) if isinstance(default, dict) else default

    def __setitem__(self, name: str, value: Any) -> None:
        self._take({name: value}, None)

    def __delitem__(self, name: str) -> None:
        del self._values[name_of(name) or name]
        self._changed()

    def __iter__(self) -> Iterator[str]:
        return iter(RULES)

    def __len__(self) -> int:
        return len(RULES)

    def __repr__(self) -> str:
        shown = {name: value for name, value in self._values.items() if not _secret(name)}
        return f"<Settings {shown}>"

    def update(self, *given: Any, **named: Any) -> None:
        """Set many; all of them or, when one is refused, none."""
        self._take({**dict(*given), **named}, None)

    def given(self, name: str) -> bool:
        """Whether somebody has set it."""
        return name in self._values

    def load(self, source: Any, namespace: str | None = None) -> None:
        """From a module, an object, a dict or the name of one: "package.module" or "package.module:Config"."""
        found = _object(source)
        names = found if isinstance(found, Mapping) else {name: getattr(found, name) for name in dir(found)}
        if not namespace and not isinstance(found, Mapping):  # a module holds much that is no setting
            names = {name: value for name, value in names.items() if name_of(name) in RULES}
        self._take(names, namespace)

    def _take(self, given: Mapping[str, Any], namespace: str | None) -> None:
        taken: dict[str, Any] = {}
        for each, value in given.items():
            name = name_of(each, namespace)
            if name is None and (namespace or each.isupper()):
                continue  # another program's
            if name not in RULES:
                raise BadOption(f"Celery has no setting {each!r}", hint=did_you_mean(name or each, RULES))
            broken = verdict(name, value)
            if broken is not None and broken.kind == "refused":
                raise NotSupported(f"{name}={_shown(name, value)} is not supported", hint=broken.text)
            if broken is not None:
                differs(f"{name}={_shown(name, value)} has no effect: {broken.text}")
            taken[name] = value
        before = dict(self._values)
        self._values.update(taken)
        try:
            self._changed()
        except Exception:
            self._values.clear()
            self._values.update(before)
            raise


def _object(source: Any) -> Any:
    if not isinstance(source, str):
        return source
    module, colon, attribute = source.partition(":")
    if colon:
        return getattr(importlib.import_module(module), attribute)
    try:
        return importlib.import_module(source)
    except ModuleNotFoundError as exc:
        home, _, attribute = source.rpartition(".")
        if exc.name != source or not home:
            raise
        found: ModuleType = importlib.import_module(home)
        return getattr(found, attribute)


def _secret(name: str) -> bool:
    return name.endswith(("_url", "_key", "_password", "_options", "_settings", "_kwargs")) or name == "result_backend"


def _shown(name: str, value: Any) -> str:
    text = "..." if _secret(name) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
