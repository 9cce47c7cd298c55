"""Celery's application: settings, tasks, and the Jobsworth behind them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from types import TracebackType
from typing import Any, NoReturn, Self, overload

from jobsworth.job import Job
from jobsworth.suggest import did_you_mean

from . import current
from .canvas import Signature, signature
from .conf import Settings
from .control import Control
from .declaring import heed, make
from .exceptions import AlwaysEagerIgnored, DuplicateTaskNameWarning, NotRegistered, NotSupported, differs
from .house import CeleryJobs, Handled, arguments_of
from .naming import task_name
from .place import engine_url, heed_backend
from .rates import Rates
from .result import AsyncResult
from .routes import Router, annotated
from .schedule import per_second, zone_of
from .sending import NO_SOFT_LIMIT, send
from .task import Task

_ABSENT = {
    "amqp": "there are no messages: jobs are rows of an engine", "backend": "results live with their jobs: AsyncResult",
    "connection": "app.jobs.engine", "connection_for_read": "app.jobs.engine",
    "connection_for_write": "app.jobs.engine",
    "pool": "app.jobs.engine", "producer_pool": "app.jobs.engine", "events": "app.jobs.listeners, and the dashboard",
    "Beat": "there is no beat yet", "steps": "there are no bootsteps", "user_options": "jobsworth worker --help",
    "add_periodic_task": "nothing here starts periodic tasks yet: cron and `jobsworth enqueue TASK` do",
    "Worker": "app.jobs.worker()", "WorkController": "app.jobs.worker()",
    "loader": "importing the module is all there is",
    "log": "configure logging as in any program", "GroupResult": "groups are not supported yet",
    "ResultSet": "groups are not supported yet", "canvas": "chains, groups and chords are not supported yet",
    "select_queues": "jobsworth worker --queues", "on_after_configure": "call it where the app is made",
    "on_after_finalize": "call it where the app is made", "on_configure": "call it where the app is made",
}  # fmt: skip


class Celery:
    """An app: `Celery("tasks", broker="redis://localhost")`. Its Jobsworth is `app.jobs`.

    broker:  where the jobs live, results included: redis://, postgresql://, sqlite:/// or memory://.
    backend: heeded as far as it names the same place; else a warning says that it is not.
    strict_typing: False lets tasks be sent with arguments that they do not take, unless they say otherwise.
    Other keywords are settings. Raises NotSupported (E105).
    """

    def __init__(
        self,
        main: str | None = None,
        *,
        broker: str | None = None,
        backend: str | None = None,
        include: Sequence[str] | str | None = None,
        config_source: Any = None,
        namespace: str | None = None,
        set_as_current: bool = True,
        task_cls: type[Task] | str | None = None,
        changes: Mapping[str, Any] | None = None,
        strict_typing: bool = True,
        autofinalize: bool = True,
        **settings: Any,
    ) -> None:
        del autofinalize  # tasks are there when they are declared
        self.main = main
        self.tasks = Registry(self)
        self._elsewhere: dict[str, Elsewhere] = {}  # tasks that only other processes know, as they were sent to
        self.strict_typing = strict_typing
        self.router = Router(self)
        self.rates = Rates()
        self.control = Control(self)
        self.Task: type[Task] = type("Task", (_task_class(task_cls),), {"app": self})
        self.conf = Settings(lambda: None)
        self._heeded: tuple[str, Any] | None = None
        self.jobs = CeleryJobs(self, engine_url(broker))
        self.conf = Settings(self._follow)
        given = {**(changes or {}), **settings, "broker_url": broker, "result_backend": backend, "include": include}
        self.conf.update({name: value for name, value in given.items() if value is not None})
        if config_source is not None:
            self.config_from_object(config_source, namespace=namespace)
        current.joined(self, current=set_as_current)

    def _follow(self) -> None:
        """The settings have changed."""
        per_second(self.conf.task_default_rate_limit)  # a rate that cannot be read is refused here, not in the worker
        url = engine_url(self.conf.broker_url)
        if url != self.jobs.home().url:  # not where they stay for a while
            self.jobs.use(url)
        backend = (url, self.conf.result_backend)
        if backend != self._heeded:
            self._heeded = backend
            heed_backend(*backend)
        for task in self.tasks.values():
            self._annotate(task)
        self.jobs.settle_in()

    def _annotate(self, task: Task) -> None:
        found = annotated(self.conf.task_annotations, task)
        options = {option.removeprefix("@"): value for option, value in found.items()}
        per_second(options.get("rate_limit"))
        for option, value in options.items():
            setattr(task, option, value)

    # Declaring.
    @overload
    def task(
        self, fn: Callable[..., Any], /, *, name: str | None = None, base: type[Task] | None = None, bind: bool = False
    ) -> Task: ...

    @overload
    def task(self, **options: Any) -> Callable[[Callable[..., Any]], Task]: ...

    def task(self, *args: Any, **options: Any) -> Any:
        """Declare a task: `@app.task` or `@app.task(bind=True, max_retries=5, base=MyTask)`."""
        if args and isinstance(args[0], Task):
            raise TypeError(f"{args[0]!r} is a task already")
        if len(args) == 1 and callable(args[0]):
            return self._declare(args[0], **options)
        if args:
            raise TypeError("@app.task takes a function, or options by name")
        return lambda fn: self._declare(fn, **options)

    def _declare(
        self, fn: Callable[..., Any], *, name: str | None = None, base: type[Task] | None = None, bind: bool = False,
        shared: bool = True, lazy: bool = True, pydantic: bool = False, **options: Any,
    ) -> Task:  # fmt: skip
        del shared, lazy  # the order of declarations makes no difference here
        if pydantic:
            differs("pydantic=True: models are given back as models, too")
            options["pydantic"] = True
        name = name or self.gen_task_name(fn.__name__, fn.__module__)
        known = self.tasks.get(name)
        first = getattr(known, "__wrapped__", None)
        if known is not None and _same(first, fn):
            if first is not fn:  # a module that is imported anew
                differs(f"{name} is declared twice: the first one stays", DuplicateTaskNameWarning)
            return known
        return self.register_task(make(self, fn, base or self.Task, bind, name, options))

    def register_task(self, task: Task | type[Task]) -> Task:
        """Add a task that is a class of its own. Raises BadOption (E105) if its name is taken or its rate is none."""
        kind = task if isinstance(task, type) else type(task)
        known = self.tasks.get(kind.name or self.gen_task_name(kind.__name__, kind.__module__))
        if known is not None and type(known) is kind:
            return known
        made = task() if isinstance(task, type) else task
        made.app = self
        made.name = made.name or self.gen_task_name(type(made).__name__, type(made).__module__)
        heed(made)
        self._annotate(made)
        per_second(made.rate)
        made.on_bound(self)
        handled = self.jobs.declare(made)
        self.tasks[made.name] = made
        if made.soft_limit and handled.isolation != "process":
            differs(NO_SOFT_LIMIT.format(made.name))
        return made

    def handled(self, task: Task) -> Handled:
        """A task as the Jobsworth knows it. Raises NotRegistered."""
        if isinstance(task, Elsewhere):
            return task.handled
        found = self.jobs.tasks.get(task.name)
        if not isinstance(found, Handled):
            raise NotRegistered(task.name)
        return found

    def find(self, name: str) -> Task:
        """The task of that name. Raises NotRegistered."""
        return self.tasks[name]

    def forget(self, functions: Sequence[Callable[..., Any]]) -> None:
        """Drop the tasks that were made of these functions."""
        names = [name for name, task in self.tasks.items() if getattr(task, "__wrapped__", None) in functions]
        for name in names:
            del self.tasks[name], self.jobs.tasks[name]

    def queue_names(self) -> list[str]:
        return self.router.queue_names()

    # Settings.
    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Take the settings of a module, object or dict, or of the one with that name."""
        del force  # they are read at once
        try:
            self.conf.load(obj, namespace)
        except ImportError:
            if not silent:
                raise

    def config_from_envvar(self, variable: str, silent: bool = False, force: bool = False) -> None:
        """The same of the module that an environment variable names."""
        name = os.environ.get(variable)
        if name:
            self.config_from_object(name, silent, force)
        elif not silent:
            raise NotSupported(
                f"the variable {variable} is not set", hint="it names the module that holds the settings"
            )

    def autodiscover_tasks(
        self, packages: Iterable[str] | Callable[[], Iterable[str]] | None = None, related_name: str | None = "tasks",
        force: bool = False,
    ) -> None:  # fmt: skip
        """Import `package.tasks` of each package that has one, now. In Django without packages: of every app."""
        del force  # it is done at once
        names = packages() if callable(packages) else _django_apps() if packages is None else packages
        for name in names:
            module = f"{name}.{related_name}" if related_name else name
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as exc:
                if exc.name != module or module == name:
                    raise

    def import_modules(self) -> None:
        """Import what `imports` and `include` name. Done before a worker is made."""
        for names in (self.conf.imports, self.conf.include):
            for name in [names] if isinstance(names, str) else names or ():
                importlib.import_module(name)

    # Sending and asking.
    def send_task(
        self, name: str, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult:
        """Store a job of the task of that name, which need not be declared in this process."""
        if self.conf.task_always_eager:
            differs("task_always_eager has no effect on send_task", AlwaysEagerIgnored)
        if args is not None and not isinstance(args, (list, tuple)):
            raise TypeError("task args must be a list or tuple")
        task = self.tasks.get(name) or self._elsewhere.get(name)
        if task is None:
            task = self._elsewhere[name] = Elsewhere(self, name)
        return send(task, tuple(args or ()), dict(kwargs or {}), options, loosely=True)

    def signature(self, *args: Any, **kwargs: Any) -> Signature:
        """A call as data, of a task's name or of a dict."""
        return signature(*args, **{**kwargs, "app": self})

    @property
    def current_task(self) -> Task | None:
        """The task that runs here."""
        return current.task()

    current_worker_task = current_task

    def gen_task_name(self, name: str, module: str) -> str:
        """What a function is called when nobody says. A subclass may say otherwise."""
        return task_name(self, name, module)

    def now(self) -> datetime:
        """The moment, in the app's time zone."""
        return datetime.now(UTC).astimezone(self.zone)

    def AsyncResult(self, id: str, **options: Any) -> AsyncResult:  # noqa: N802, A002 (Celery's names)
        return AsyncResult(id, **{**options, "app": self})

    def arguments_of(self, job: Job) -> tuple[list[Any], dict[str, Any]]:
        """A stored job's arguments; by name where its task is not declared here."""
        task = self.jobs.tasks.get(job.task)
        return arguments_of(task if isinstance(task, Handled) else None, job)

    @property
    def zone(self) -> tzinfo:
        """The time zone of moments that have none."""
        return zone_of(self.conf.timezone, utc=bool(self.conf.enable_utc))

    timezone = zone

    def priority_stored(self, priority: int) -> int:
        """Celery's priority as ours: with Redis 0 comes first, elsewhere the highest does."""
        return -priority if self._reversed else priority

    def priority_shown(self, priority: int) -> int:
        return -priority if self._reversed else priority

    @property
    def _reversed(self) -> bool:
        return self.jobs.url.partition(":")[0] in ("redis", "rediss", "valkey", "valkeys", "unix")

    # Its life.
    def set_current(self) -> None:
        """`current_app` is this one from now on."""
        current.become(self)

    def set_default(self) -> None:
        """`current_app` is this one where none is."""
        current.be_default(self)

    def finalize(self, auto: bool = False) -> None:
        """Nothing: tasks are there when they are declared."""

    def close(self) -> None:
        """Let go of the engine. Using the app again opens it again."""
        self.jobs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def worker_main(self, argv: Sequence[str] | None = None) -> NoReturn:
        raise NotSupported(
            f"worker_main({argv!r}) is not supported", hint="jobsworth worker module:app, or app.jobs.worker()"
        )

    start = worker_main

    finalized = configured = True

    def __getattr__(self, name: str) -> NoReturn:
        if name in _ABSENT:
            raise AttributeError(f"a Celery app has no {name!r} here: {_ABSENT[name]}")
        public = [each for each in dir(type(self)) if not each.startswith("_")]
        raise AttributeError(f"a Celery app has no {name!r}; {did_you_mean(name, public)}")

    def __repr__(self) -> str:
        return f"<Celery {self.main or 'default'} at {self.jobs.engine.where}>"


def _same(one: Any, other: Any) -> bool:
    names = [(getattr(each, "__module__", None), getattr(each, "__qualname__", None)) for each in (one, other)]
    return one is other or (one is not None and names[0] == names[1] and "<" not in str(names[0][1]))


def _task_class(given: type[Task] | str | None) -> type[Task]:
    """The app's own base of tasks: a class, or where one is ("package.module:Class"). Raises NotSupported (E105)."""
    if isinstance(given, str):
        module, _, name = given.replace(":", ".").rpartition(".")
        given = getattr(importlib.import_module(module), name)
    if given is not None and not (isinstance(given, type) and issubclass(given, Task)):
        raise NotSupported(f"task_cls={given!r} is no class of tasks here", hint="derive it from our Task")
    return given or Task


class Registry(dict[str, Task]):
    """An app's tasks by name. One that is not there raises NotRegistered, which is a KeyError."""

    def __init__(self, app: Celery) -> None:
        super().__init__()
        self._app = app

    def __missing__(self, name: str) -> Task:
        raise NotRegistered(name)

    def register(self, task: Task | type[Task]) -> None:
        self._app.register_task(task)

    def unregister(self, name: str | Task) -> None:
        """Forget a task: its jobs wait for a worker that knows it. Raises NotRegistered."""
        known = self[name if isinstance(name, str) else name.name]
        del self[known.name], self._app.jobs.tasks[known.name]

    def regular(self) -> dict[str, Task]:
        return dict(self)


class Elsewhere(Task):
    """A task that only other processes know, to be sent to."""

    abstract = True

    def __init__(self, app: Celery, name: str) -> None:
        self.app, self.name = app, name
        self.handled = app.jobs.elsewhere(self)


def _django_apps() -> list[str]:
    try:
        from django.apps import apps
    except ImportError:
        raise NotSupported(
            "autodiscover_tasks() without packages looks through Django's apps", hint="name them"
        ) from None
    return [config.name for config in apps.get_app_configs()]
