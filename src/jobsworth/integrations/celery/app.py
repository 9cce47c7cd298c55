"""Celery's application: settings, tasks, and the Jobsworth behind them."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from types import TracebackType
from typing import Any, NoReturn, Self

from jobsworth.codec import decode
from jobsworth.job import Job
from jobsworth.suggest import did_you_mean

from . import current
from .conf import Settings
from .control import Control
from .exceptions import DiffersFromCelery, NotRegistered, NotSupported
from .house import CeleryJobs, Handled, arguments_of
from .naming import task_name
from .place import engine_url, heed_backend
from .rates import Rates
from .result import AsyncResult, EagerResult
from .routes import Router, annotated
from .schedule import zone_of
from .sending import NO_SOFT_LIMIT
from .task import Task, make

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
        task_cls: type[Task] | None = None,
        changes: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.main = main
        self.tasks: dict[str, Task] = {}
        self.router = Router(self)
        self.rates = Rates()
        self.control = Control(self)
        self.Task: type[Task] = type("Task", (task_cls or Task,), {"app": self})
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
        for option, value in annotated(self.conf.task_annotations, task).items():
            setattr(task, option.removeprefix("@"), value)

    # Declaring.
    def task(self, *args: Any, **options: Any) -> Any:
        """Declare a task: `@app.task` or `@app.task(bind=True, max_retries=5, base=MyTask)`."""
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
            warnings.warn("pydantic=True: annotated models travel as they are anyway", DiffersFromCelery, stacklevel=3)
        name = name or task_name(self, fn)
        known = self.tasks.get(name)
        if known is not None and getattr(known, "__wrapped__", None) is fn:
            return known
        return self.register_task(make(self, fn, base or self.Task, bind, name, options))

    def register_task(self, task: Task | type[Task]) -> Task:
        """Add a task that is a class of its own. Raises BadOption (E105) if its name is taken."""
        made = task() if isinstance(task, type) else task
        made.app = self
        made.name = made.name or f"{type(made).__module__}.{type(made).__name__}"
        self._annotate(made)
        handled = self.jobs.declare(made)
        self.tasks[made.name] = made
        if made.soft_limit and handled.isolation != "process":
            warnings.warn(NO_SOFT_LIMIT.format(made.name), DiffersFromCelery, stacklevel=4)
        return made

    def handled(self, task: Task) -> Handled:
        """A task as the Jobsworth knows it. Raises NotRegistered."""
        found = self.jobs.tasks.get(task.name)
        if not isinstance(found, Handled):
            raise NotRegistered(task.name)
        return found

    def find(self, name: str) -> Task:
        """The task of that name. Raises NotRegistered."""
        if name not in self.tasks:
            raise NotRegistered(name)
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
                if exc.name is None or not f"{module}.".startswith(f"{exc.name}."):
                    raise

    def import_modules(self) -> None:
        """Import what `imports` and `include` name. Done before a worker is made."""
        for names in (self.conf.imports, self.conf.include):
            for name in [names] if isinstance(names, str) else names or ():
                importlib.import_module(name)

    # Sending and asking.
    def send_task(
        self, name: str, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult | EagerResult:
        """Store a job of the task of that name. Raises NotRegistered for one that is not declared in this process."""
        return self.find(name).apply_async(args, kwargs, **options)

    def AsyncResult(self, id: str, **options: Any) -> AsyncResult:  # noqa: N802, A002 (Celery's names)
        return AsyncResult(id, **{**options, "app": self})

    def arguments_of(self, job: Job) -> tuple[list[Any], dict[str, Any]]:
        """A stored job's arguments; by name where its task is not declared here."""
        task = self.jobs.tasks.get(job.task)
        return arguments_of(task, job.args) if isinstance(task, Handled) else ([], decode(job.args))

    @property
    def zone(self) -> tzinfo:
        """The time zone of moments that have none."""
        return zone_of(self.conf.timezone, utc=bool(self.conf.enable_utc))

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

    set_default = set_current

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

    def __getattr__(self, name: str) -> NoReturn:
        if name in _ABSENT:
            raise AttributeError(f"a Celery app has no {name!r} here: {_ABSENT[name]}")
        raise AttributeError(f"a Celery app has no {name!r}; {did_you_mean(name, dir(type(self)))}")

    def __repr__(self) -> str:
        return f"<Celery {self.main or 'default'} at {self.jobs.engine.where}>"


def _django_apps() -> list[str]:
    try:
        from django.apps import apps
    except ImportError:
        raise NotSupported(
            "autodiscover_tasks() without packages looks through Django's apps", hint="name them"
        ) from None
    return [config.name for config in apps.get_app_configs()]
