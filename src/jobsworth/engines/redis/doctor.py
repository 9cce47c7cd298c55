"""What `jobsworth doctor` says about Redis, and the one line a worker's banner has on durability."""

from __future__ import annotations

import time
from typing import Any

from ...errors import EngineError, EngineUnavailable
from . import schema
from .link import Link

Finding = tuple[str, str, str]  # level, subject, text
_SETTINGS = ("appendonly", "appendfsync", "maxmemory-policy", "maxmemory", "save")


def findings(link: Link, namespace: str) -> list[Finding]:
    """(level, subject, text) for each thing looked at."""
    started = time.perf_counter()
    number = schema.check(link, namespace)
    took = (time.perf_counter() - started) * 1000
    info, settings = _info(link), _settings(link)
    return [
        ("ok", "storage", f"{link.address.shown} answers in {took:.1f} ms ({_product(info)}, namespace {namespace!r})"),
        _durability(settings),
        _memory(settings, info),
        ("ok", "schema", f"{number} (this version writes {schema.LATEST})"),
        _clock(link),
    ]


def durability(link: Link) -> str:
    """What an acknowledged enqueue survives, in one line."""
    return _durability(_settings(link))[2]


def size(link: Link) -> int:
    """Bytes the whole server uses, other namespaces' included; 0 where this user may not ask (INFO)."""
    return int(_info(link, "memory").get("used_memory", "0"))


def _durability(settings: dict[str, str] | None) -> Finding:
    subject = "durability"
    if settings is None or "appendonly" not in settings:
        return "warn", subject, "unknown: this user may not read the server's configuration (CONFIG GET)"
    if settings["appendonly"] != "yes":
        if settings.get("save"):
            text = "none between snapshots: appendonly is off, so a crash of Redis loses every job since the last save"
        else:
            text = "none: appendonly is off, so a crash or restart of Redis loses every job"
        return "warn", subject, f"{text}; set appendonly yes and appendfsync always (or everysec)"
    fsync = settings.get("appendfsync", "")
    if fsync == "always":
        return "ok", subject, "fsync before every answer (appendonly yes, appendfsync always)"
    if fsync == "everysec":
        text = "fsync every second (appendonly yes, appendfsync everysec): a power cut loses up to 1-2 s of jobs"
        return "ok", subject, f"{text}, a killed Redis nothing it had written"
    return (
        "warn",
        subject,
        f"left to the operating system (appendonly yes, appendfsync {fsync}): a power cut loses jobs",
    )


def _memory(settings: dict[str, str] | None, info: dict[str, str]) -> Finding:
    used = int(info.get("used_memory", "0"))
    subject, text = "memory", f"{used / 1e6:.1f} MB used"
    if settings is None or "maxmemory-policy" not in settings:
        return "warn", subject, f"{text}; maxmemory-policy is unknown (CONFIG GET is forbidden): it must be noeviction"
    policy, most = settings["maxmemory-policy"], int(settings.get("maxmemory", "0") or 0)
    text += f" of {most / 1e6:.0f} MB" if most else ", no limit set"
    if policy != "noeviction":
        return "warn", subject, f"{text}; maxmemory-policy is {policy}: Redis may throw jobs away; set noeviction"
    if most and used > 0.8 * most:
        return "warn", subject, f"{text}; when it is full new jobs are refused"
    return "ok", subject, f"{text} (noeviction)"


def _clock(link: Link) -> Finding:
    seconds, micros = link.command("TIME", again=True)
    skew = abs(time.time() - (int(seconds) + int(micros) / 1e6))
    return "warn" if skew > 1 else "ok", "clock", f"within {skew:.1f} s of the storage's clock"


def _product(info: dict[str, str]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', 'of an unknown version')}"


def _info(link: Link, *sections: str) -> dict[str, str]:
    try:
        data: bytes = link.command("INFO", *sections, again=True)
    except EngineUnavailable:
        raise
    except EngineError:  # forbidden to this user
        return {}
    lines = (line.partition(":") for line in data.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _settings(link: Link) -> dict[str, str] | None:
    """The server's settings that matter here; None if this user may not read them."""
    found: dict[str, str] = {}
    try:
        for name in _SETTINGS:  # one by one: before version 7 Redis takes no more
            answer: Any = link.command("CONFIG", "GET", name, again=True)
            found.update((key.decode(), value.decode()) for key, value in zip(answer[::2], answer[1::2], strict=True))
    except EngineUnavailable:
        raise
    except EngineError:
        return None
    return found
