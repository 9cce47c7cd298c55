"""Our command line as one command of another program's: `flask jobs ...`, `litestar jobs ...`. Those speak click."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import main

if TYPE_CHECKING:
    import click


def command(spec: Callable[[], str | None]) -> click.Command:
    """A click command `jobs` that hands over whatever follows it.

    spec: where this program's Jobsworth is, for us and for the processes that we start; asked when the command is used.
    """
    import click

    # Everything is ours to read, --help included.
    settings = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}

    @click.command("jobs", context_settings=settings, help="Background jobs: worker, status, list, show, cancel...")
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def jobs(arguments: tuple[str, ...]) -> None:
        named = spec()
        if named is not None:
            os.environ["JOBSWORTH_APP"] = named  # whoever names another one with --app has the last word
        sys.exit(main(arguments))

    return jobs
