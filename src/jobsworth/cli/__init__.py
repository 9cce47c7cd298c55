"""The command `jobsworth`: from arguments to a command, and from errors to messages and exit codes.

0    done                                        2    the command or the configuration is wrong
1    the job failed or was cancelled             3    the engine cannot be reached, or refuses
4    time is up                                  130  Ctrl-C
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobsworth.errors import EngineError, JobCancelled, JobFailed, JobsworthError, WaitTimeout

if TYPE_CHECKING:
    from cyclopts import CycloptsError

DONE, FAILED, USAGE, UNREACHABLE, TIME_IS_UP, OUR_MISTAKE, INTERRUPTED = 0, 1, 2, 3, 4, 70, 130
BROKEN_PIPE = 141  # what a shell says of a program that SIGPIPE ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Expected errors never show a traceback."""
    from . import terminal

    terminal.prepare()
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`); Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def _run(arguments: list[str]) -> int:
    from cyclopts import CycloptsError

    from .terminal import say
    from .tree import tree

    app = tree(whole=not arguments or arguments[0] in ("--help", "-h"))
    try:
        code = app(arguments or ["--help"])
    except JobsworthError as exc:
        return _told(exc)
    except CycloptsError as exc:
        return _usage_error(exc)
    except (KeyboardInterrupt, BrokenPipeError):
        raise
    except Exception:  # noqa: BLE001 (the last resort: said to be ours, with everything a report needs)
        say(traceback.format_exc())
        say("error[E000]: this is a mistake in jobsworth, not in your program; please report it with the lines above")
        return OUR_MISTAKE
    return code if isinstance(code, int) else DONE


def _usage_error(exc: CycloptsError) -> int:
    """Say what is wrong with the command line itself."""
    from cyclopts import MissingArgumentError, UnusedCliTokensError

    from jobsworth.log import clean
    from jobsworth.suggest import did_you_mean

    from .terminal import say

    exc.verbose = False
    command = " ".join(["jobsworth", *(exc.command_chain or ())])
    message, hint = " ".join(str(exc).split()), f"{command} --help"
    if isinstance(exc, UnusedCliTokensError) and exc.unused_tokens:
        message = f'{command} takes no "{exc.unused_tokens[0]}"'
        known = [name for name in exc.app or () if not name.startswith("-")]
        hint = did_you_mean(exc.unused_tokens[0], known) if known else hint
    elif isinstance(exc, MissingArgumentError) and exc.keyword is None and exc.argument is not None:
        message = f"{command} needs {exc.argument.name}"
    say(f"error: {clean(message.split(' Available commands')[0], 600)}")
    say(f"  hint: {hint}")
    return USAGE


def _told(exc: JobsworthError) -> int:
    """Say what went wrong: `error[E101]: what`, where, and what to do now."""
    from jobsworth.log import clean

    from .terminal import say, styled

    first, *rest = exc.message.splitlines() or [""]
    say(f"{styled(f'error[{exc.code}]', 'red', sys.stderr)}: {clean(first, 2000)}")
    for line in rest:
        say(clean(line, 2000))
    if exc.hint:
        say(f"  hint: {clean(exc.hint, 2000)}")
    return exit_code(exc)


def exit_code(exc: JobsworthError) -> int:
    """The exit code of an error."""
    match exc:
        case JobFailed() | JobCancelled():
            return FAILED
        case WaitTimeout():
            return TIME_IS_UP
        case EngineError():
            return UNREACHABLE
        case _:
            return USAGE
