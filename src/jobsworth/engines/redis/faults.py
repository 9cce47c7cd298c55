"""From the driver's exceptions to ours. Nothing of redis-py crosses the engine's door."""

from __future__ import annotations

import re
import ssl

from ...errors import BadUrl, EngineError, EngineUnavailable, StorageFull
from .url import SECURE

MISSING = "pip install 'jobsworth[redis]'"

# The first word of an error Redis answers with: what it means and what to do.
_PASSING = {
    "LOADING": ("is still loading its data", "nothing: it answers when it has done so"),
    "READONLY": ("is a read-only replica", "use the primary's address; after a failover this passes by itself"),
    "MASTERDOWN": ("is a replica that has lost its primary", "look at the primary"),
    "CLUSTERDOWN": ("belongs to a cluster that is down", "look at `redis-cli cluster info`"),
    "TRYAGAIN": ("is moving these keys to another node", "nothing: it passes"),
    "ASK": ("is moving these keys to another node", "nothing: it passes"),
    "MOVED": ("does not keep these keys", "look at `redis-cli cluster slots`"),
    "BUSY": ("is busy with somebody's slow script", "look at `redis-cli slowlog get`"),
    "MISCONF": ("refuses writes, for it cannot save to disk", "look at the server's log and its disk"),
    "NOREPLICAS": ("refuses writes, for too few replicas follow it", "look at `redis-cli info replication`"),
    "UNKILLABLE": ("is busy with somebody's slow script", "look at the server"),
    "NOAUTH": ("wants a password", "put user and password into the URL: redis://user:password@host"),
    "WRONGPASS": ("does not know this user and password", "check the URL"),
}


def missing(shown: str, exc: ImportError) -> BadUrl:
    """The driver is not installed."""
    return BadUrl(f"{shown}: the package {exc.name or 'redis'} is not installed", hint=MISSING)


# The driver's exceptions from whose text it has taken that word away.
_WORDS = {
    "BusyLoadingError": "LOADING", "ReadOnlyError": "READONLY", "MasterDownError": "MASTERDOWN", "MovedError": "MOVED",
    "ClusterDownError": "CLUSTERDOWN", "TryAgainError": "TRYAGAIN", "AskError": "ASK", "OutOfMemoryError": "OOM",
    "NoPermissionError": "NOPERM",
}  # fmt: skip
_WITHIN_SCRIPT = re.compile(r"-([A-Z]{2,}) ")  # Redis before 7 wraps what a script ran into


# This node is not, or not now, the one that keeps our keys: another connection may lead to another one.
_ELSEWHERE = frozenset({"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "MOVED"})


def parted(exc: BaseException) -> bool:
    """True for an answer after which no connection that there is now is of use."""
    return _word(exc) in _ELSEWHERE


def _word(exc: BaseException) -> str:
    text = str(exc)
    found = _WITHIN_SCRIPT.search(text) if "running script" in text else None
    if found:  # first: the driver only sees the word around it
        return found.group(1)
    told = getattr(exc, "status_code", None) or _WORDS.get(type(exc).__name__)
    return str(told or text.split(" ", 1)[0])


def translate(exc: BaseException, shown: str) -> EngineError:
    """Our error for one of the driver's, saying where and what to do."""
    import redis.exceptions as theirs

    text = str(exc)
    word = _word(exc)
    if word == "OOM":
        return StorageFull(
            f"{shown}: Redis has reached its maxmemory; new jobs are refused, what was acknowledged is kept",
            hint="give it more memory (`redis-cli config set maxmemory ...`) or delete finished jobs;"
            " nothing needs to be restarted",
        )
    if word in _PASSING:
        what, hint = _PASSING[word]
        return EngineUnavailable(f"{shown}: Redis {what} ({text})", hint=hint)
    if word == "NOPERM":
        return EngineError(
            f"{shown}: this user may not do that ({text})",
            hint="its ACL needs the keys and the channel of the namespace, and @read @write @scripting @pubsub",
        )
    if isinstance(exc, theirs.AuthenticationError):
        return EngineUnavailable(f"{shown}: Redis does not let us in ({text})", hint="check user and password")
    if isinstance(exc, (theirs.ConnectionError, theirs.TimeoutError, OSError)):
        return _unreachable(exc, shown, late=isinstance(exc, theirs.TimeoutError))
    return EngineError(f"{shown}: {type(exc).__name__}: {text}")


def _unreachable(exc: BaseException, shown: str, *, late: bool) -> EngineUnavailable:
    """There is no connection, or no answer."""
    tls = _of_tls(exc)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return EngineUnavailable(
            f"{shown}: this machine does not trust its certificate ({tls.verify_message.rstrip('.')})",
            hint="SSL_CERT_FILE=/path/to/ca.pem names whom to trust; the URL's host must be a name in the certificate",
        )
    secure = shown.lower().startswith(SECURE)
    spoken = "does it speak TLS at this port? without it is redis://" if secure else "with TLS it is rediss://"
    if tls is not None:
        return EngineUnavailable(f"{shown}: it does not speak TLS as we do ({tls.reason or tls})", hint=spoken)
    if late:
        asked = "is the server, or the network in between, overloaded or cut?"
        more = f"; {spoken}" if secure else ""
        return EngineUnavailable(
            f"{shown}: Redis does not answer ({exc})", hint=f"{asked} the next call connects anew{more}"
        )
    return EngineUnavailable(
        f"{shown}: no connection to Redis ({exc})",
        hint=f"is the server running, and the address right? the next call connects anew; {spoken}",
    )


def _of_tls(exc: BaseException) -> ssl.SSLError | None:
    """What went wrong with TLS, if the driver's exception came from that."""
    seen: BaseException | None = exc
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
