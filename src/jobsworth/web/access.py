"""Who may see and do what: the only place that decides it.

A visitor has a level, and may be narrowed to queues and to an owner. What a visitor may not see is answered exactly as
what does not exist. Nobody is anybody until `authorize` or a token says so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from enum import IntEnum
from typing import Any
from urllib.parse import urlsplit

import msgspec

from jobsworth.engine import Where
from jobsworth.errors import BadOption
from jobsworth.job import Job
from jobsworth.tokens import Tokens

from .message import Request
from .refusal import NoSuchPage, NotAllowed, NotSignedIn

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
SHORTEST_PASSWORD = 8  # characters
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_MOST_TOKENS = 100  # in one header
_ORIGIN = re.compile(r"[a-z][a-z0-9+.\-]*://([a-z0-9_\-]+(\.[a-z0-9_\-]+)*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")
_USUAL_PORT = defaultdict(lambda: ":", {"https": ":443", "http:": ":80"})


class Level(IntEnum):
    """What a visitor may do; each level includes the ones before it."""

    NONE = 0  # what is for everybody
    USER = 1  # see and cancel jobs of their own
    READ = 2  # see everything (of their queues)
    OPERATE = 3  # enqueue, cancel, retry, pause
    ADMIN = 4  # delete for good


class Visitor(msgspec.Struct, frozen=True):
    """Somebody who asks.

    owner:  at level USER, the owner whose jobs they may see and cancel.
    queues: only jobs of these queues, at any level; None means of all.
    name:   what the log calls them.
    jobs:   jobs that tokens allow them at level USER, whatever else they may. Filled in by the site.
    """

    level: Level
    owner: str | None = None
    queues: Collection[str] | None = None
    name: str = ""
    jobs: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        given: tuple[Any, Any] = self.level, self.queues  # a person may have written anything
        if not isinstance(given[0], Level):
            raise BadOption(f"a visitor's level must be a Level, not {given[0]!r}")
        if isinstance(given[1], str):  # of which every part would be "in" it
            raise BadOption(f"a visitor's queues must be a list of names, not the text {given[1]!r}")

    def may_see(self, job: Job, level: Level) -> bool:
        """Whether a route of that level may show them this job."""
        if level <= Level.USER and job.id in self.jobs:
            return True
        if self.level < level or not self.serves(job.queue):
            return False
        return self.level >= Level.READ or (
            self.level >= Level.USER and self.owner is not None and job.owner == self.owner
        )

    def serves(self, queue: str) -> bool:
        """Whether their queues include this one."""
        return self.queues is None or queue in self.queues

    def narrowed(self, where: Where) -> list[Where]:
        """A selector as selectors that match only what they may see at level READ. Ask all of them."""
        if self.queues is None:
            return [where]
        if where.queue is not None:
            return [where] if where.queue in self.queues else []
        return [msgspec.structs.replace(where, queue=queue) for queue in sorted(set(self.queues))]

    @property
    def called(self) -> str:
        """What the log calls them."""
        return self.name or self.owner or ("a token" if self.level is Level.NONE else self.level.name.lower())


def admit(level: Level, visitor: Visitor) -> None:
    """Raise unless a visitor's level is enough. Whether they may see the object comes later."""
    if visitor.level >= level or (level <= Level.USER and visitor.jobs):
        return
    if visitor.level is Level.NONE:
        raise NotSignedIn("sign in first")
    if visitor.level < Level.READ:  # operators' addresses do not exist for users
        raise NoSuchPage("there is nothing here")
    raise NotAllowed(
        f"this needs the level {level.name.lower()}; yours is {visitor.level.name.lower()}",
        hint="ask whoever looks after this site",
    )


Decision = Visitor | Level | None
Authorize = Callable[[Request], Decision | Awaitable[Decision]]
NOBODY = Visitor(Level.NONE)


def local_operator(request: Request, level: Level = Level.ADMIN) -> Decision:
    """ADMIN (or another level) for whoever sits at this machine, nobody else: for a site that listens on loopback only.

    A page of another site must not get in by a name that it has made to mean this machine, nor the whole world through
    a proxy that runs here: both are told by what they send. A proxy that hides that it is one is not; do not put one in
    front.
    """
    if any(name in request.headers for name in _FORWARDED) or not is_loopback(request.client):
        return None
    addressed = [f"//{request.headers.get('host', '')}"]
    if "origin" in request.headers:
        addressed.append(request.headers["origin"])
    if not all(is_loopback(_host_of(each)) for each in addressed):
        return None
    return Visitor(level, name="local")


class BasicAuth:
    """One user and password, asked for by the browser itself. For a server of one's own; apps have better ways.

    pair: "user:password", with a password of at least 8 characters. Raises BadOption (E105).
    """

    challenge = 'Basic realm="jobsworth", charset="UTF-8"'

    def __init__(self, pair: str, level: Level = Level.ADMIN) -> None:
        self._user, colon, password = pair.partition(":")
        if not colon or not self._user or len(password) < SHORTEST_PASSWORD:
            raise BadOption(f"the sign-in is user:password, with a password of at least {SHORTEST_PASSWORD} characters")
        self._wanted = _digest(pair)
        self._level = level

    def __repr__(self) -> str:
        return f"<BasicAuth of {self._user}>"

    def __call__(self, request: Request) -> Decision:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            pair = base64.b64decode(given.strip(), validate=True).decode()
        except ValueError:
            return None
        # Digests have one length, whatever was given: the comparison takes one time, too.
        return Visitor(self._level, name=self._user) if hmac.compare_digest(_digest(pair), self._wanted) else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def is_loopback(host: str | None) -> bool:
    """Whether a name or address means this machine and no other."""
    if host is None:
        return False
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tokens_of(request: Request, tokens: Tokens) -> frozenset[str]:
    """The ids of the jobs for which the request brings good tokens: Authorization: Bearer TOKEN[,TOKEN...]."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        return frozenset()
    return jobs_of(given.split(",")[:_MOST_TOKENS], tokens)


def jobs_of(given: Collection[str], tokens: Tokens) -> frozenset[str]:
    """The ids of the jobs whose tokens are good."""
    return frozenset(job_id for each in given if (job_id := tokens.read(each.strip())) is not None)


def same_site(request: Request, origins: Collection[str] = ()) -> bool:
    """False if another site's page made a browser send this: its cookies must then count for nothing.

    Browsers say where a request comes from in Sec-Fetch-Site, older ones in Origin; programs say neither, and carry
    nobody's cookies. Sub-domains are other sites. origins: those that are trusted, as "https://app.example".
    """
    origin = request.headers.get("origin")
    if origin is not None and origin in origins:
        return True
    fetched = request.headers.get("sec-fetch-site")
    if fetched is not None:
        return fetched in ("same-origin", "none")
    # The scheme may differ behind a proxy that ends TLS; the host does not.
    return origin is None or (origin != "null" and _place(origin) == request.headers.get("host", "").lower())


def checked_origins(origins: Collection[str]) -> frozenset[str]:
    """Origins as browsers send them. Raises BadOption (E105) for what no browser would ever send."""
    if isinstance(origins, str):
        raise BadOption("origins is a list of origins, not one text")
    for each in origins:
        given: Any = each  # a person may have written anything
        if not (isinstance(given, str) and _ORIGIN.fullmatch(given) and not given.endswith(_USUAL_PORT[given[:5]])):
            raise BadOption(
                f"{each!r} is no origin as browsers send it",
                hint="https://app.example or http://127.0.0.1:8000: no path, no slash, in lower case, no usual port",
            )
    return frozenset(origins)


def _place(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
