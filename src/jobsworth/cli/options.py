"""The options many commands share, and what they lead to: an app, or a place where jobs live."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from jobsworth.app import Jobsworth
from jobsworth.engine import Engine, Where
from jobsworth.engines import redacted
from jobsworth.errors import (
    AppImportFailed,
    AppNotFound,
    BadOption,
    BadUrl,
    ConfigurationError,
    EngineUnavailable,
    ExtraMissing,
)
from jobsworth.home import DEFAULT_URL
from jobsworth.job import State
from jobsworth.locate import CANDIDATES, default_spec, locate
from jobsworth.log import clean

from .terminal import say

COMMON = Group("Common options", sort_key=90)
FILTERS = Group("Which jobs", sort_key=10)
Time = Annotated[str | None, Parameter(metavar="TIME")]  # read by values.seconds_from
Document = Annotated[str | None, Parameter(metavar="JSON", allow_leading_hyphen=True)]  # "-" is stdin


class NoDatabaseYet(EngineUnavailable):
    """A command that only looks found no database, and must not make one."""


@Parameter(name="*")
@dataclass(frozen=True)
class Place:
    """Where the app and its jobs are."""

    app: Annotated[str | None, Parameter(name="--app", group=COMMON)] = None
    "The Jobsworth: module:name, or file.py. Else $JOBSWORTH_APP, the app.py, jobs.py, main.py or Django project here."

    url: Annotated[str | None, Parameter(name="--url", group=COMMON)] = None
    "Where its jobs live: sqlite:///jobs.db, postgresql://host/db... Else what the app says, else $JOBSWORTH_URL."


@Parameter(name="*")
@dataclass(frozen=True)
class Common(Place):
    """Place, and how to answer."""

    json: Annotated[bool, Parameter(name="--json", negative="", group=COMMON)] = False
    "Answer with one JSON document on stdout."


HERE = Place()
DEFAULTS = Common()


@Parameter(name="*")
@dataclass(frozen=True)
class Filters:
    """Which jobs; all of what is given must match."""

    queue: Annotated[str | None, Parameter(name=["--queue", "-q"], group=FILTERS)] = None
    "In this queue."

    task: Annotated[str | None, Parameter(name=["--task", "-t"], group=FILTERS)] = None
    "Of this task."

    tag: Annotated[str | None, Parameter(name="--tag", group=FILTERS)] = None
    "With this tag."

    owner: Annotated[str | None, Parameter(name="--owner", group=FILTERS)] = None
    "Of this owner."

    text: Annotated[str | None, Parameter(name="--text", group=FILTERS)] = None
    "With this in their task, label or error message, or at the start of their id."

    @property
    def given(self) -> dict[str, str]:
        """The filters somebody set."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def where(self, states: tuple[State, ...] | None, limit: int | None) -> Where:
        """As a selector."""
        return Where(
            queue=self.queue, task=self.task, tag=self.tag, owner=self.owner, text=self.text, states=states, limit=limit
        )

    def __str__(self) -> str:
        return "".join(f' with {name} "{value}"' for name, value in self.given.items())


EVERYTHING = Filters()


def spec_of(place: Place, spec: str | None = None) -> str | None:
    """The app's name: the one given (twice is once too often), else $JOBSWORTH_APP, else what this folder offers."""
    if spec is not None and place.app is not None and spec != place.app:
        raise BadOption(f"two apps are named: {spec} and --app {place.app}")
    return spec or place.app or default_spec()


def find_app(place: Place, spec: str | None = None) -> Jobsworth:
    """The app, which this command cannot do without. Raises AppNotFound or AppImportFailed."""
    named = spec_of(place, spec)
    if named is None:
        raise AppNotFound(
            f"no app is named, and none of {', '.join(CANDIDATES)} here holds one",
            hint="name it: --app app:jobs or --app app.py, or set JOBSWORTH_APP",
        )
    app = load(named)
    if place.url:
        app.close()  # its module may have asked something already
        app.use(place.url)
    return app


def how_to_start(place: Place) -> str:
    """The command that starts a worker for this app and this place."""
    named = place.app and spec_of(place)
    url = f" --url {redacted(place.url)}" if place.url else ""
    return f"jobsworth worker{f' {named}' if named else ''}{url}"


def load(spec: str) -> Jobsworth:
    """Import the app. What its module prints goes to stderr: stdout is for data."""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            return locate(spec)
        except AppImportFailed as exc:
            # What is wrong stands in the environment or the settings more often than in the app.
            if isinstance(exc.__cause__, (AppNotFound, BadUrl, ExtraMissing)):
                raise exc.__cause__ from None
            raise


@contextlib.contextmanager
def working(place: Place) -> Iterator[Jobsworth]:
    """The app, for commands that call its tasks by name. Closed at the end."""
    app = find_app(place)
    refuse_memory(app)
    try:
        yield app
    finally:
        app.close()


@contextlib.contextmanager
def looking(place: Place, *, makes: bool = False) -> Iterator[Jobsworth]:
    """The place where jobs live, with the app's tasks if there is an app. Raises NoDatabaseYet unless it may be made.

    No app is needed: the URL is --url, else the app's, else $JOBSWORTH_URL, else the file in this folder.
    """
    store = _store(place)
    refuse_memory(store)
    if not makes:
        refuse_absent(store)
    try:
        yield store
    finally:
        store.close()


def _store(place: Place) -> Jobsworth:
    if place.url and not place.app:
        return Jobsworth(place.url)
    if place.app or os.environ.get("JOBSWORTH_APP"):
        return find_app(place)
    found = default_spec()
    if found is not None:
        try:
            return load(found)
        except ConfigurationError as exc:
            store = Jobsworth()
            say(f"warning[{exc.code}]: {first_line(exc)}; looking at {name_of(store.engine)}")
            return store
    return Jobsworth()


def first_line(exc: ConfigurationError) -> str:
    """An error's message in one line."""
    return " ".join(exc.message.split())


def refuse_absent(store: Jobsworth) -> None:
    """Raise NoDatabaseYet if looking would make what is not there."""
    if store.bridge.peek(lambda engine: engine.schema_version()).found is None:
        hint = None
        if store.url == DEFAULT_URL and not store.tasks:
            hint = "is this the right folder? Otherwise name the place: --url sqlite:///path/to/jobs.db"
        raise NoDatabaseYet(
            f"no tables at {place_of(store.engine)} yet; they are made when the first job is enqueued", hint=hint
        )


def place_of(engine: Engine) -> str:
    """Where an engine's jobs live: a file as short as it can be from here, or a URL without its password."""
    if not os.path.isabs(engine.where):  # noqa: PTH117 (a string is all we have)
        return clean(engine.where, 200)
    relative = os.path.relpath(engine.where)
    return clean(engine.where if relative.startswith("..") else relative, 400)


def name_of(engine: Engine) -> str:
    """An engine and its place: "sqlite jobs.db", "postgresql://host/db"."""
    place = place_of(engine)
    return place if "://" in place else f"{engine.kind} {place}"


def refuse_memory(store: Jobsworth) -> None:
    """Raise BadOption where no other process can see the jobs."""
    if store.engine.kind == "memory":
        raise BadOption(
            "memory:// lives inside one process: nothing outside can see its jobs",
            hint="use a file: --url sqlite:///jobsworth.db, or run a worker inside the program",
        )
