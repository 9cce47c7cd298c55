"""Where a program's jobs live: its URL, the engine made of that, and the bridge to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from .bridge import Bridge
from .engine import Engine
from .engines import from_url
from .errors import BadOption

DEFAULT_URL = "sqlite:///jobsworth.db"


class Home(NamedTuple):
    """One place where jobs live. url: "" of an engine that was made by hand.

    for_long: jobs that stay there may stay elsewhere for a while.
    """

    url: str
    engine: Engine
    bridge: Bridge
    for_long: bool = False

    @classmethod
    def at(cls, url: str) -> Home:
        """The home at a URL; nothing is opened. Raises BadUrl (E103)."""
        engine = from_url(url)
        return cls(url, engine, Bridge(engine))

    @classmethod
    def given(cls, url: str | None, engine: Engine | None) -> Home:
        """What a person gave: a URL or an engine, else the variable JOBSWORTH_URL, else a file in this folder."""
        if engine is None:
            return cls.at(url or os.environ.get("JOBSWORTH_URL") or DEFAULT_URL)
        if url is not None:
            raise BadOption("give a url or an engine, not both")
        return cls("", engine, Bridge(engine))


class AtHome:
    """What has a home. A subclass that learns late where it is, or anew, overrides `home`."""

    _home: Home
    _stay: Home | None = None

    def home(self) -> Home:
        """Where the jobs live now, unless they stay elsewhere. Asked again at every use."""
        return self._home

    @contextmanager
    def staying(self, home: Home) -> Iterator[None]:
        """Within the block the jobs live there, whatever `home` and `use` say meanwhile. Nothing at home is touched.

        It is for the whole process, not for one thread. Raises BadOption (E105) if they stay elsewhere already, unless
        that is for long: there they are back afterwards.
        """
        before = self._stay
        if before is not None and not before.for_long:
            raise BadOption(f"its jobs stay at {before.engine.where} already", hint="leave that first")
        self._stay = home
        try:
            yield
        finally:
            self._stay = before

    @property
    def away(self) -> bool:
        """Whether the jobs stay elsewhere: see staying()."""
        return self._stay is not None

    @property
    def may_stay(self) -> bool:
        """Whether they could be asked to stay elsewhere now."""
        return self._stay is None or self._stay.for_long

    def _now(self) -> Home:
        return self._stay or self.home()

    def use(self, url: str) -> None:
        """Have the jobs live elsewhere. Before the first use or after close(): else raises BadOption (E105)."""
        if self._home.bridge.opened:
            raise BadOption(
                f"its jobs live at {self._home.engine.where} already, and that is open",
                hint="close() it first, or make a Jobsworth for each place",
            )
        self._home = Home.at(url)

    @property
    def url(self) -> str:
        return self._now().url

    @property
    def engine(self) -> Engine:
        return self._now().engine

    @property
    def bridge(self) -> Bridge:
        return self._now().bridge
