"""`jobsworth why`: why a job is not running, and what to do about it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from cyclopts import Parameter

from jobsworth.app import Jobsworth
from jobsworth.errors import EngineUnavailable
from jobsworth.job import State
from jobsworth.log import clean
from jobsworth.why import Why, unreachable

from . import UNREACHABLE
from . import jobs as show_jobs
from .find import find_job
from .options import DEFAULTS, Common, NoDatabaseYet, how_to_start, looking
from .terminal import put, put_json, styled

_LONGEST = 2000  # characters of a sentence: an error's message may be a page


def why(job_id: Annotated[str, Parameter(name="id")], /, *, common: Common = DEFAULTS) -> int:
    """Why a job is not running, and what to do now.

    For example:
      jobsworth why 0199f3a2c1
      jobsworth why 0199f3a2c1 --json | jq -r '.findings[].word'

    The most important reason comes first. Exit code 3 if the reason is that the engine does not answer.

    Parameters
    ----------
    job_id
        Its id, or the beginning of it.
    """
    try:
        with looking(common) as store:
            found = _ask(store, job_id, how_to_start(common))
    except NoDatabaseYet:
        raise
    except EngineUnavailable as exc:
        found = unreachable(job_id, exc)
    if common.json:
        put_json(msgspec.to_builtins(found))
    else:
        for line in lines(found):
            put(line)
    return 0 if found.state is not None else UNREACHABLE


def _ask(store: Jobsworth, typed: str, start: str) -> Why:
    return store.handle(find_job(store, typed).id).why(start=start)


def lines(found: Why) -> list[str]:
    """For a person: each reason, and below it what to do."""
    state = styled("? unknown", "yellow") if found.state is None else _state(found.state)
    done = [f"{styled(clean(found.job_id, 128), 'bold')}  {state}"]
    for finding in found.findings:
        done += [f"  {clean(finding.text, _LONGEST)}", f"    {styled('→', 'cyan')} {clean(finding.do, _LONGEST)}"]
    return done


def _state(state: State) -> str:
    return styled(show_jobs.state_word(state), show_jobs.SIGNS[state][1])
