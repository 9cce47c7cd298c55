"""What every sample's process does alike: read its options, measure, print one JSON object as its last line.

The answer holds figures (numbers) and words; or `rows`, several such answers by name, when one process measures several
contestants in turns. `absent` says what is not installed, `broken` why there is no figure.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import machine, servers

Answer = dict[str, Any]


class Absent(Exception):
    """Something the measurement needs is not on this machine."""


class Broken(Exception):
    """The system did not do what was measured, so there is no figure."""


def parser(description: str | None) -> argparse.ArgumentParser:
    """With the options every sample has."""
    made = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    made.add_argument("--home", type=Path, required=True, help="an empty folder on a real disk")
    made.add_argument("--store", choices=list(servers.STORES), default="sqlite", help="where the jobs are kept")
    made.add_argument("--patience", type=float, default=0.0, help="seconds to wait for a quiet machine")
    made.add_argument("--limit", type=float, default=120.0, help="seconds after which it is given up")
    return made


def answer(options: argparse.ArgumentParser, measure: Callable[[argparse.Namespace], Answer]) -> None:
    """Measure as the command line says and print the answer."""
    given = options.parse_args()
    os.environ["BENCH_HOME"] = str(given.home)
    os.environ.setdefault("BENCH_TICKS", str(given.home / "ticks"))
    try:
        with servers.running(given.store, given.home):
            found = measure(given)
    except ModuleNotFoundError as missing:
        if missing.name is None or "." in missing.name:
            raise  # a package that is there but broken must not pass for one that is not
        found = {"absent": f"{missing.name} is not installed"}
    except (Absent, servers.Missing) as what:
        found = {"absent": str(what)}
    except Broken as why:
        found = {"broken": str(why)}
    print(json.dumps(found))


class Surroundings:
    """What else the machine did during a measurement. `mine` is the CPU time the measurement itself used; its
    server's is added."""

    def __init__(self, patience: float) -> None:
        self._quiet = machine.wait_for_quiet(patience)
        self._busy, self._stolen, self._began = machine.busy_seconds(), machine.stolen_seconds(), time.monotonic()
        self._server = servers.cpu_seconds()

    def seen(self, mine: float) -> Answer:
        took = time.monotonic() - self._began
        mine += servers.cpu_seconds() - self._server
        others = max(0.0, machine.busy_seconds() - self._busy - mine)
        stolen = machine.stolen_seconds() - self._stolen
        return {"quiet": self._quiet, "others": others / took, "stolen": stolen / took}
