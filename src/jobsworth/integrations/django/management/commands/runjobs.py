"""`manage.py runjobs`: a worker for the project's jobs, which is `jobsworth worker` under Django's roof."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from jobsworth.locate import DJANGO

# What is handed on as it is; the worker reads it and says what is wrong with it.
_OPTIONS = (
    ("queues", "queues to serve, with how many jobs at once: images:4,mailers (all, if not given)"),
    ("processes", "so many worker processes, kept alive by a supervisor"),
    ("lease", "seconds after which others take over the jobs of a worker that died"),
    ("grace", "seconds that running jobs get to finish when the worker stops"),
    ("name", "what it is called in `jobsworth workers`"),
    ("log-format", "text or json lines"),
)


class Command(BaseCommand):  # type: ignore[misc]
    help = "Run the project's background jobs until Ctrl-C or SIGTERM. The same as `jobsworth worker`."
    suppressed_base_arguments = frozenset({"--traceback", "--no-color", "--force-color"})

    def add_arguments(self, parser: ArgumentParser) -> None:
        for name, text in _OPTIONS:
            parser.add_argument(f"--{name}", help=text, default=None)
        parser.add_argument(
            "--reload", action="store_true", help="start again when a .py file in this folder changes (development)"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        given = {name: options[name.replace("-", "_")] for name, _ in _OPTIONS}
        words = [f"--{name}={value}" for name, value in given.items() if value is not None]
        if options["reload"]:
            words = ["dev", "--port=0", *words]
        else:
            words = ["worker", *words, *{0: ["--quiet"], 1: []}.get(options["verbosity"], ["--verbose"])]
        # This process becomes that command. Its own processes import the project from where this one did, too.
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(each for each in sys.path if each))
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "jobsworth", *words, f"--app={DJANGO}"])  # noqa: S606
