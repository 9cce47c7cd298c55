"""The app as the worker process of `jobs_real` has it: found by its name, its jobs staying in the test's folder.

Imported by that process and its children, never by the test.
"""

from __future__ import annotations

import os
from pathlib import Path

from jobsworth.bridge import Bridge
from jobsworth.engines.sqlite import SqliteEngine
from jobsworth.home import Home
from jobsworth.locate import locate

from .clock import ShownClock
from .real import APP, DATABASE, FOLDER, MOMENT

_folder = Path(os.environ[FOLDER])
_engine = SqliteEngine(_folder / DATABASE, clock=ShownClock(_folder / MOMENT))
jobs = locate(os.environ[APP])
_stay = jobs.staying(Home("", _engine, Bridge(_engine)))
_stay.__enter__()  # for as long as this process lasts
