"""What a test says should have been enqueued, held against what was, and the difference in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from jobsworth.codec.carry import dump
from jobsworth.errors import BadArguments, Incompatible
from jobsworth.job import PENDING, Job
from jobsworth.task import Task
from jobsworth.wording import count, duration

_OPTIONS = ("queue", "delay", "count")
_SHOWN = 10  # jobs named in a message


@dataclass(frozen=True)
class Wanted:
    """A description of jobs. None: whatever it is."""

    task: Task[..., Any]
    arguments: Mapping[str, Any] | None
    queue: str | None
    delay: float | None

    def __str__(self) -> str:
        what = f"{self.task.name}(...)" if self.arguments is None else written(self.task, self.arguments)
        where = "" if self.queue is None else f", on queue {self.queue!r}"
        when = "" if self.delay is None else f", delayed by {duration(self.delay)}"
        return f"{what}{where}{when}"

    def differences(self, job: Job) -> list[str]:
        """In what a job of the task is otherwise; nothing if it is one of those meant."""
        found = [] if self.arguments is None else self._in_arguments(self.arguments, arguments_of(self.task, job))
        if self.queue is not None and job.queue != self.queue:
            found.append(f"on queue {job.queue!r}, not {self.queue!r}")
        if self.delay is not None:
            found += _in_delay(self.delay, job)
        return found

    def _in_arguments(self, wanted: Mapping[str, Any], there: Mapping[str, Any] | None) -> list[str]:
        if there is None:
            return ["its stored arguments do not fit the signature any more"]
        names = dict.fromkeys([*wanted, *there])
        return [
            f"{name} is {there.get(name)!r}, not {wanted.get(name)!r}"
            for name in names
            if not (name in wanted and name in there and same(wanted[name], there[name]))
        ]


def bound(task: Task[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """A call's arguments by name, defaults included; None for a call that names none.

    Raises BadArguments (E402) for a call that the task could not be enqueued with.
    """
    __tracebackhide__ = True
    if not args and not kwargs:
        return None
    try:
        call = task.signature.parameters.bind(*args, **kwargs)
    except TypeError:
        raise _with_ours(task.signature.bad_call(args, kwargs), kwargs) from None
    call.apply_defaults()
    return dict(call.arguments)


def _with_ours(wrong: BadArguments, kwargs: Mapping[str, Any]) -> BadArguments:
    """The same, if it may be that an option of the assertion was meant."""
    near = [near for name in kwargs for near in get_close_matches(name, _OPTIONS, 1)]
    hint = f"{wrong.hint}; beside them there are {', '.join(f'{name}=' for name in _OPTIONS)}" if near else wrong.hint
    return BadArguments(wrong.message, hint=hint)


def arguments_of(task: Task[..., Any], job: Job) -> dict[str, Any] | None:
    """A job's arguments by name, as its handler gets them, defaults included; None if they fit no more."""
    try:
        args, kwargs = task.signature.unpack(job.args)
        call = task.signature.parameters.bind(*args, **kwargs)
    except (Incompatible, TypeError):
        return None
    call.apply_defaults()
    return dict(call.arguments)


def same(wanted: Any, there: Any) -> bool:
    """Equal, or the same once it has travelled: a tuple arrives as a list where nothing is annotated."""
    if wanted == there:
        return True
    try:
        return dump(wanted) == dump(there)
    except Exception:  # noqa: BLE001 (what cannot travel has not)
        return False


def written(task: Task[..., Any], arguments: Mapping[str, Any]) -> str:
    """A call as one would write it."""
    return f"{task.name}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def told(wanted: Wanted, jobs: Sequence[Job], others: Sequence[Job]) -> str:
    """What was enqueued instead: jobs of the task, each with its differences, then how many of which other task."""
    lines = [f"of {wanted.task.name} there {'is' if len(jobs) == 1 else 'are'} {count(len(jobs), 'job')}"]
    if jobs:
        lines[0] += ":"
    nearest = sorted(jobs, key=lambda job: len(wanted.differences(job)))
    for job in nearest[:_SHOWN]:
        there = arguments_of(wanted.task, job)
        shown = f"{job.task}(?)" if there is None else written(wanted.task, there)
        found = wanted.differences(job)
        lines.append(f"  {shown}{'' if found else '  ✓'}")
        lines += [f"      {difference}" for difference in found]
    if len(jobs) > _SHOWN:
        lines.append(f"  and {count(len(jobs) - _SHOWN, 'more job')}")
    tasks = Counter(job.task for job in others)
    lines.append(
        "other tasks: " + ", ".join(f"{task} × {number}" for task, number in sorted(tasks.items()))
        if tasks
        else "no job of another task was enqueued"
    )
    return "\n".join(lines)


def _in_delay(wanted: float, job: Job) -> list[str]:
    if len(job.attempts) > 1 or (job.attempts and job.state in PENDING):
        return ["it has been put back in line since, so its first delay is not known any more"]
    there = max(0.0, (job.run_at or job.created_at) - job.created_at)
    # What was given as a date was reckoned from another clock than the one that stamps `created_at`.
    if abs(there - wanted) <= (0.001 if wanted < 1 else 0.5):
        return []
    return [f"delayed by {duration(there)}, not {duration(wanted)}" if there else f"not delayed by {duration(wanted)}"]
