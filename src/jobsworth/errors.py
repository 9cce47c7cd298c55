"""Every error Jobsworth raises, as one tree. Each has a stable code; messages say what, where, why and what to do now.

    JobsworthError
    ├── ConfigurationError             E1xx  the program or its settings
    │   ├── AppImportFailed            E101
    │   ├── AppNotFound                E102
    │   ├── BadUrl                     E103
    │   ├── BadName                    E104
    │   ├── BadOption                  E105
    │   ├── UnknownTask                E106
    │   ├── UnknownQueue               E107
    │   ├── SchemaMismatch             E110
    │   ├── NetworkFileSystem          E111
    │   ├── WrongDatabase              E112
    │   ├── NoTransaction              E113
    │   ├── SecretMissing              E114
    │   ├── ExtraMissing               E115
    │   └── OpenToAll                  E116
    ├── EngineError                    E200  the place where jobs live
    │   ├── EngineUnavailable          E201  try again
    │   ├── CorruptRow                 E202
    │   ├── StorageFull                E501
    │   └── QueueFull                  E502
    ├── JobError                       E3xx  one job
    │   ├── JobNotFound                E301
    │   ├── JobFailed                  E302
    │   ├── JobCancelled               E303
    │   ├── WaitTimeout                E304  (also a TimeoutError)
    │   ├── LeaseLost                  E305
    │   ├── NoCurrentJob               E306
    │   └── MoveRefused                E307
    ├── ValueRefused                   E4xx  what cannot travel (also a TypeError or ValueError)
    │   ├── NotSerializable            E401
    │   ├── TooLarge                   E402
    │   ├── TooDeep                    E403
    │   ├── BadArguments               E404
    │   └── Incompatible               E405
    └── RequestRefused                 E6xx  what was asked over HTTP: in jobsworth.web.refusal

What a handler may raise to say how its run ends is not an error of ours and stands apart:

    Ending
    ├── RetryAfter(seconds)    try again then; an attempt is used
    ├── Snooze(seconds)        try again then; no attempt is used
    ├── GiveUp(why)            no more attempts
    └── Cancelled(reason)      stop here; raised by check_cancelled()
        ├── TimedOut               its time ran out
        └── Interrupted            its worker shuts down; the job goes back to the queue
"""

from __future__ import annotations


class JobsworthError(Exception):
    """The root of the tree. `code` is stable, `message` says what happened, `hint` what to do now."""

    code = "E000"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        text = f"{self.code}: {self.message}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class ConfigurationError(JobsworthError):
    """The program or its settings are wrong."""

    code = "E100"


class AppImportFailed(ConfigurationError):
    """The module that should hold the Jobsworth could not be imported."""

    code = "E101"


class AppNotFound(ConfigurationError):
    """The module was imported but does not hold what was named."""

    code = "E102"


class BadUrl(ConfigurationError, ValueError):
    """The engine's URL is not one we know."""

    code = "E103"


class BadName(ConfigurationError, ValueError):
    """A queue, task, id, key, owner or tag has a form we do not accept."""

    code = "E104"


class BadOption(ConfigurationError, ValueError):
    """An option's value makes no sense."""

    code = "E105"


class UnknownTask(ConfigurationError, LookupError):
    """No task of that name is declared here."""

    code = "E106"


class UnknownQueue(ConfigurationError, LookupError):
    """No queue of that name is declared here."""

    code = "E107"


class SchemaMismatch(ConfigurationError):
    """The stored schema is newer than this version understands, or is not ours."""

    code = "E110"


class NetworkFileSystem(ConfigurationError):
    """SQLite's locks cannot be trusted on a network file system."""

    code = "E111"


class WrongDatabase(ConfigurationError):
    """The connection is on another database than the one that holds the jobs. Nothing was stored."""

    code = "E112"


class NoTransaction(ConfigurationError):
    """There is no transaction to take part in, or none is possible here. Nothing was stored."""

    code = "E113"


class SecretMissing(ConfigurationError):
    """Tokens are signed with a secret, and none was given."""

    code = "E114"


class ExtraMissing(ConfigurationError, ImportError):
    """A part of Jobsworth that needs more packages than the base install has."""

    code = "E115"


class OpenToAll(ConfigurationError):
    """It would listen where everybody can reach it, and ask nobody who they are."""

    code = "E116"


class EngineError(JobsworthError):
    """The engine refused or failed; the driver's own exception is the cause."""

    code = "E200"


class EngineUnavailable(EngineError):
    """The engine cannot be reached, or is busy for too long. Trying again is right."""

    code = "E201"


class CorruptRow(EngineError):
    """A stored job cannot be read. The row is kept as it is."""

    code = "E202"


class StorageFull(EngineError):
    """There is no room left. Nothing acknowledged is lost; new jobs are refused."""

    code = "E501"


class QueueFull(EngineError):
    """The queue's max_size is reached. Nothing of the call was stored."""

    code = "E502"


class JobError(JobsworthError):
    """Something about one job."""

    code = "E300"


class JobNotFound(JobError, LookupError):
    """No job of that id is stored."""

    code = "E301"


class JobFailed(JobError):
    """The job ended as a dead letter; `failure` (type, message, reason, traceback: all text) tells why."""

    code = "E302"

    def __init__(self, message: str, *, hint: str | None = None, failure: object = None) -> None:
        super().__init__(message, hint=hint)
        self.failure = failure


class JobCancelled(JobError):
    """The job was cancelled, so it has no result."""

    code = "E303"


class WaitTimeout(JobError, TimeoutError):
    """The job was still not finished when the wait ended. The job itself goes on."""

    code = "E304"


class LeaseLost(JobError):
    """This attempt's lease was taken by another; nothing it writes counts any more."""

    code = "E305"


class NoCurrentJob(JobError, RuntimeError):
    """Asked for the current job outside a handler."""

    code = "E306"


class MoveRefused(JobError):
    """The job is not in a state from which it can be moved that way."""

    code = "E307"


class ValueRefused(JobsworthError):
    """An argument or result cannot travel."""

    code = "E400"


class NotSerializable(ValueRefused, TypeError):
    """A value has a type that does not survive the journey."""

    code = "E401"


class TooLarge(ValueRefused, ValueError):
    """Encoded, the value is over the limit."""

    code = "E402"


class TooDeep(ValueRefused, ValueError):
    """The value is nested deeper than the limit."""

    code = "E403"


class BadArguments(ValueRefused, TypeError):
    """The arguments do not fit the task's signature."""

    code = "E404"


class Incompatible(ValueRefused):
    """Stored arguments no longer fit the task's signature. The bytes are kept; no attempt is used."""

    code = "E405"


LONGEST_WAIT = 100 * 365.25 * 86_400  # seconds; beyond a century calendars and arithmetic end


def _wait(what: str, seconds: float) -> float:
    wait = max(0.0, float(seconds)) if seconds == seconds else float("inf")  # NaN differs from itself
    if wait > LONGEST_WAIT:
        raise BadOption(f"{what}({seconds!r}): a wait is a number of seconds, a century at most")
    return wait


class Ending(Exception):
    """What a handler may raise to say how its run ends."""


class RetryAfter(Ending):
    """Try again in `seconds` (None: after the backoff). An attempt is used; with none left the job is given up.

    max_attempts: what counts as none left, instead of the job's own.
    """

    def __init__(
        self, seconds: float | None = None, exc: BaseException | None = None, *, max_attempts: int | None = None
    ) -> None:
        self.seconds = None if seconds is None else _wait("RetryAfter", seconds)
        self.exc = exc
        self.max_attempts = max_attempts
        super().__init__("retry " + ("later" if seconds is None else f"in {seconds} s") + (f": {exc}" if exc else ""))


class Snooze(Ending):
    """Try again in `seconds`. No attempt is used."""

    def __init__(self, seconds: float) -> None:
        self.seconds = _wait("Snooze", seconds)
        super().__init__(f"snooze for {seconds} s")


class GiveUp(Ending):
    """No more attempts: the job becomes a dead letter with this reason, which the app's users may read."""

    def __init__(self, why: str = "the handler gave up") -> None:
        self.why = why
        super().__init__(why)


class Cancelled(Ending):
    """The run was asked to stop. Let it pass, or raise it yourself to cancel your own job."""

    def __init__(self, reason: str | None = None) -> None:
        self.reason = reason
        super().__init__(reason or "cancelled")


class TimedOut(Cancelled):
    """The attempt's time ran out."""


class Interrupted(Cancelled):
    """The worker shuts down; the job goes back to the queue at no cost."""
