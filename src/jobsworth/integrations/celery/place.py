"""From Celery's broker and backend URLs to the one URL of an engine."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

from jobsworth.engines import redacted
from jobsworth.home import DEFAULT_URL

from .exceptions import NotSupported, differs
from .settings import BROKER, RESULTS

_AS_ENGINE = {
    "redis+socket": "unix", "sqla+sqlite": "sqlite", "db+sqlite": "sqlite", "sqla+postgresql": "postgresql",
    "db+postgresql": "postgresql", "sqlalchemy+sqlite": "sqlite", "sqlalchemy+postgresql": "postgresql",
}  # fmt: skip
_ENGINES = ("redis", "rediss", "valkey", "valkeys", "unix", "sqlite", "postgresql", "postgres", "memory")
_REDIS = ("redis", "rediss", "valkey", "valkeys", "unix")
_DROPPED = (
    "health_check_interval", "max_connections", "protocol", "retry_on_timeout", "socket_connect_timeout",
    "socket_keepalive", "socket_timeout", "client_name", "decode_responses",
)  # fmt: skip
_MEMORY = ("memory", "cache+memory", "cache")


def engine_url(broker: str | None) -> str:
    """Where the jobs live: the broker's URL, else $CELERY_BROKER_URL, $JOBSWORTH_URL or an SQLite file in this folder.

    Raises NotSupported (E105) for brokers that are no engine.
    """
    given = broker or os.environ.get("CELERY_BROKER_URL") or os.environ.get("JOBSWORTH_URL") or DEFAULT_URL
    if ";" in given:
        raise NotSupported("broker_url names several brokers", hint="jobs live in one place: name that")
    scheme, colon, rest = given.partition("://")
    scheme = re.sub(r"\+(psycopg2?|pysqlite|pg8000)$", "", scheme.lower())  # SQLAlchemy's drivers
    scheme = _AS_ENGINE.get(scheme, scheme)
    if scheme == "memory":
        return "memory://"
    if scheme in ("unix", "redis") and (found := re.search(r"[?&]virtual_host=(\w+)", rest)):
        rest = rest.replace(found[0], f"{found[0][0]}db={found[1]}")
    if not colon or (scheme not in _ENGINES and (scheme in _BROKERS or "+" in scheme)):
        raise NotSupported(
            f"{redacted(given)!r} is no place where jobs can live",
            hint="broker_url is the one place of jobs and results: redis://, postgresql:// or sqlite:///",
        )
    if scheme in _REDIS:
        rest = _for_redis(rest, given)
    return f"{scheme}://{rest}"


def _for_redis(rest: str, given: str) -> str:
    """The rest of a URL without what only tunes redis-py. Raises NotSupported for what its security hangs on."""
    before, mark, query = rest.partition("?")
    kept = []
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "ssl_cert_reqs" and value.lower() in ("required", "cert_required"):
            continue  # always
        if name.startswith("ssl_"):
            raise NotSupported(
                f"{name} in {redacted(given)!r} is not supported",
                hint="certificates are always verified, against those that Python knows (SSL_CERT_FILE)",
            )
        if name in _DROPPED:
            differs(f"{name} in broker_url has no effect: {BROKER}")
            continue
        kept.append((name, value))
    return before + mark + urlencode(kept) if kept else before


_BROKERS = (
    "amqp", "amqps", "pyamqp", "librabbitmq", "sqs", "sentinel", "kafka", "confluentkafka", "gcpubsub", "mongodb",
    "zookeeper", "filesystem", "qpid", "azurestoragequeues", "azureservicebus", "consul", "etcd", "pyro", "slmq",
    "sqla", "sqlalchemy", "db", "database", "pgmq",
)  # fmt: skip


def heed_backend(url: str, backend: str | None) -> None:
    """Warn if the results were to live elsewhere than the jobs."""
    given = backend or os.environ.get("CELERY_RESULT_BACKEND")
    if not given:
        return
    if elsewhere(url, given):
        differs(f"result_backend={redacted(given)!r} has no effect: {RESULTS}")


def elsewhere(url: str, backend: str) -> bool:
    """Whether a result backend is another place than the jobs'."""
    scheme = urlsplit(backend).scheme.lower() or backend
    if scheme in _MEMORY and url == "memory://":
        return False
    try:
        return engine_url(backend) != url
    except NotSupported:
        return True
