"""Which Jobsworth a test is about, where it does not say."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

from jobsworth.app import Jobsworth
from jobsworth.errors import AppNotFound
from jobsworth.locate import locate

_HINT = 'say which: jobsworth_app = "module:name" in pytest\'s options, or a fixture `jobsworth_app` of your own'


def app_of(spec: str, module: ModuleType | None) -> Jobsworth:
    """The one that `spec` names; else the one in the test's module, or whose tasks are there, or that is in a module
    imported there; else the only one in any module.

    Raises AppNotFound (E102): a guess could leave jobs in a store that is not the test's.
    """
    __tracebackhide__ = True
    if spec:
        return _named(spec) or locate(spec)
    near = [] if module is None else [module]
    beside = [each for each in vars(module).values() if type(each) is ModuleType] if module else []
    for look, modules in ((_in_module, near), (_tasks_in, near), (_in_module, beside), (_in_module, _all())):
        found = {name: app for each in modules for name, app in look(each)}
        apps = list({id(app): app for app in found.values()}.values())
        if len(apps) == 1:
            return apps[0]
        if apps:
            raise AppNotFound(f"there are {len(apps)} Jobsworths: {', '.join(sorted(found))}", hint=_HINT)
    raise AppNotFound(
        "no module that is imported by now holds a Jobsworth", hint=f"import your app's module at the top, or {_HINT}"
    )


def spec_for(app: Jobsworth) -> str | None:
    """The module and attribute that hold it, or what stands in front of it; None if none does."""
    specs = (spec for module in _all() for spec, found in _in_module(module) if found is app)
    return next(specs, None)


def _named(spec: str) -> Jobsworth | None:
    """What a module that is imported already holds under that name."""
    module = sys.modules.get(spec.partition(":")[0])
    return None if module is None else dict(_in_module(module)).get(spec)


def _all() -> list[ModuleType]:
    return list(sys.modules.values())


def _tasks_in(module: ModuleType) -> Iterator[tuple[str, Jobsworth]]:
    """Where the tasks and queues belong that a module holds."""
    of = {
        id(each): app
        for app in Jobsworth.made
        for each in (*app.tasks.values(), *app.queues.values(), *getattr(app.front, "tasks", {}).values())
    }
    for name, value in list(vars(module).items()):
        if id(value) in of:
            yield f"that of {module.__name__}:{name}", of[id(value)]


def _in_module(module: ModuleType) -> Iterator[tuple[str, Jobsworth]]:
    made = {id(each): app for app in Jobsworth.made for each in (app, app.front) if each is not None}
    for name, value in list(getattr(module, "__dict__", {}).items()):
        if id(value) in made:  # no isinstance(): some modules hold what imports half the world when it is asked
            yield f"{module.__name__}:{name}", made[id(value)]
