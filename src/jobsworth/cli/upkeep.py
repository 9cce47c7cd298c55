"""Looking after the installation: migrate, doctor, bench and version."""

from __future__ import annotations

import platform
import secrets
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from jobsworth.app import Jobsworth
from jobsworth.engine import Where
from jobsworth.errors import BadOption, ConfigurationError, EngineError
from jobsworth.job import LIVE
from jobsworth.log import clean
from jobsworth.version import VERSION

from . import text
from .options import DEFAULTS, Common, NoDatabaseYet, first_line, load, looking, place_of, refuse_memory, spec_of
from .status import report_of, warnings, worker_note
from .terminal import put, put_json, say, styled

_SIGNS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "error": ("✗", "red")}
_STANDSTILL = 60.0  # seconds without a job done after which a measurement is given up
Finding = tuple[str, str, str]


def migrate(
    *,
    check: Annotated[bool, Parameter(negative="")] = False,
    sql: Annotated[bool, Parameter(negative="")] = False,
    common: Common = DEFAULTS,
) -> int:
    """Make the tables, or bring them up to date.

    For example:
      jobsworth migrate
      jobsworth migrate --check
      jobsworth migrate --sql | psql -v ON_ERROR_STOP=1 -d mydatabase

    Workers and programs do the same when they open it; this is for doing it first, on its own, perhaps as another
    user. Any number of them may do it at once.

    Parameters
    ----------
    check
        Change nothing; exit code 2 if something is to be done.
    sql
        Change nothing; print the SQL that would do it. None if nothing is to be done.
    """
    if check and sql:
        raise BadOption("--check or --sql, not both")
    with looking(common, makes=True) as store:
        if sql:
            return _as_sql(store)
        before = store.bridge.peek(lambda engine: engine.schema_version())
        after = before if check else store.bridge.call(lambda engine: engine.schema_version())  # opening it migrates
        place = place_of(store.engine)
    due = after.found != after.latest
    if common.json:
        facts = {"where": store.engine.where, "before": before.found, "schema": after.found, "latest": after.latest}
        put_json({**facts, "due": due})
    elif check:
        state = "no tables yet" if after.found is None else f"schema {after.found}"
        put(
            f"{place}: {state}, this version needs {after.latest}"
            + ("; run jobsworth migrate" if due else ": nothing to do")
        )
    else:
        was = " already" if before.found == after.found else f" (was {before.found or 'not there'})"
        put(f"{place}: schema {after.found}{was}")
    return 2 if due else 0


def _as_sql(store: Jobsworth) -> int:
    script = store.bridge.peek(lambda engine: engine.migration_sql())
    if script:
        put(script.rstrip())
    else:
        say(f"{place_of(store.engine)} is up to date: nothing to do")
    return 0


def doctor(*, common: Common = DEFAULTS) -> int:
    """Check the app, the storage and the workers, and say what is achieved.

    For example:
      jobsworth doctor
      jobsworth doctor --json | jq '.findings[] | select(.level != "ok")'

    Exit code 0 if nothing is wrong (warnings are not), 1 if something is, 3 if the storage cannot be reached.
    """
    findings = [_app_finding(common)]
    reached = True
    try:
        with looking(_without_broken_app(common, findings[0])) as store:
            findings += store.bridge.call(lambda engine: engine.doctor())
            findings += _work_findings(store)
    except NoDatabaseYet as exc:
        findings.append(("warn", "storage", exc.message))
    except EngineError as exc:
        reached = False
        findings.append(("error", "storage", " ".join(exc.message.split()) + (f" ({exc.hint})" if exc.hint else "")))
    errors = sum(level == "error" for level, _, _ in findings)
    warned = sum(level == "warn" for level, _, _ in findings)
    if common.json:
        keys = ("level", "subject", "text")
        listed = [dict(zip(keys, each, strict=True)) for each in findings]
        put_json({"findings": listed, "errors": errors, "warnings": warned})
    else:
        _print_findings(findings, errors, warned)
    return 3 if not reached else int(errors > 0)


def _print_findings(findings: list[Finding], errors: int, warned: int) -> None:
    wide = max(len(subject) for _, subject, _ in findings)
    for level, subject, said in findings:
        sign, colour = _SIGNS[level]
        put(f"{styled(sign, colour)} {subject:<{wide}}  {clean(said)}")
    parts = [text.count(number, word) for number, word in ((warned, "warning"), (errors, "error")) if number]
    put(", ".join(parts) if parts else "all is well")


def _app_finding(common: Common) -> Finding:
    try:
        spec = spec_of(common)
        if spec is None:
            return "ok", "app", "none named and none found here; only the storage is looked at"
        app = load(spec)
    except ConfigurationError as exc:
        return "error", "app", f"{exc.code}: {first_line(exc)}" + (f" ({exc.hint})" if exc.hint else "")
    queues = f"{len(app.queues)} queue{'' if len(app.queues) == 1 else 's'}"
    return "ok", "app", f"{spec} imports: {text.count(len(app.tasks), 'task')}, {queues}"


def _without_broken_app(common: Common, finding: Finding) -> Common:
    """Look at the storage even if the app does not import: at the URL that is known without it."""
    if finding[0] != "error":
        return common
    return Common(url=common.url or Jobsworth().url)


def _work_findings(store: Jobsworth) -> list[Finding]:
    report = report_of(store)
    found: list[Finding] = []
    notes = [f"{card.id}: {note}" for card in report.workers if (note := worker_note(card)).startswith("!")]
    live = text.count(len(report.workers), "worker")
    found.append(("warn", "workers", f"{live}; {'; '.join(notes)}") if notes else ("ok", "workers", live))
    found += [("warn", "queues", warning) for warning in warnings(report)]
    return found


def version(*, common: Common = DEFAULTS) -> int:
    """The version, and what it runs on.

    For example:
      jobsworth version
    """
    facts = {"jobsworth": VERSION, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    if common.json:
        put_json({**facts, "platform": platform.platform()})
    else:
        put(f"jobsworth {VERSION} (Python {facts['python']}, SQLite {facts['sqlite']}, {sys.platform})")
    return 0


async def _nothing(number: int) -> int:
    return number


def bench(
    *,
    jobs: Annotated[int, Parameter(name=["--jobs", "-n"])] = 5000,
    slots: int = 50,
    folder: Path | None = None,
    common: Common = DEFAULTS,
) -> int:
    """Measure this machine: enqueue and drain jobs that do nothing, in a database of its own.

    For example:
      jobsworth bench
      jobsworth bench --jobs 20000 --folder /var/lib/myapp
      jobsworth bench --url postgresql://app@db/app

    It says what this machine and this disk do today; it compares with nothing. With --url the jobs live there, in a
    queue of their own, and are deleted at the end. $JOBSWORTH_URL does not count here.

    Parameters
    ----------
    jobs
        How many.
    slots
        How many run at once, in one worker process.
    folder
        A folder on the disk to measure; the system's temporary one (perhaps in memory) if not given.
    """
    if jobs < 1 or slots < 1:
        raise BadOption("--jobs and --slots must be at least 1")
    if common.url and folder is not None:
        raise BadOption("--folder or --url, not both")
    if common.url:
        figures = _measure(common.url, jobs, slots)
    else:
        with tempfile.TemporaryDirectory(prefix="jobsworth-bench-", dir=folder) as place:
            figures = _measure(f"sqlite:///{place}/bench.db", jobs, slots)
    if common.json:
        put_json(figures)
        return 0
    put(f"enqueue, one by one   {figures['enqueue_per_second']:>10,.0f} jobs/s")
    put(f"enqueue, 1,000 at once{figures['enqueue_many_per_second']:>10,.0f} jobs/s")
    put(f"drain                 {figures['drain_per_second']:>10,.0f} jobs/s   {slots} slots, one process")
    say(f"{jobs:,} jobs on {figures['engine']}, Python {platform.python_version()}; {figures['durability']}")
    return 0


def _measure(url: str, jobs: int, slots: int) -> dict[str, Any]:
    app = Jobsworth(url)
    refuse_memory(app)
    name = f"bench-{secrets.token_hex(4)}"
    task = app.task(name="nothing", queue=name)(_nothing)
    try:
        durability = app.bridge.call(lambda engine: engine.durability())
        singles = min(jobs, 500)
        started = time.perf_counter()
        for number in range(singles):
            task.enqueue(number)
        single = time.perf_counter() - started
        started = time.perf_counter()
        for first in range(0, jobs, 1000):
            task.enqueue_many([(number,) for number in range(first, min(jobs, first + 1000))])
        many = time.perf_counter() - started
        started = time.perf_counter()
        with app.worker({name: slots}):
            _drained(app, name)
            drain = time.perf_counter() - started
        app.bridge.call(lambda engine: engine.delete(Where(queue=name, limit=None)))
    finally:
        app.close()
    return {
        "engine": app.engine.kind, "durability": durability, "jobs": jobs, "slots": slots,
        "enqueue_per_second": round(singles / single, 1), "enqueue_many_per_second": round(jobs / many, 1),
        "drain_per_second": round((jobs + singles) / drain, 1),
    }  # fmt: skip


def _drained(app: Jobsworth, name: str) -> None:
    """Wait until nothing is left. Looks seldom, so as not to be part of what is measured."""
    left, since = -1, time.monotonic()
    while left:
        time.sleep(0.02)
        (queue,) = app.bridge.call(lambda engine: engine.queues([name], brief=True))
        before, left = left, sum(queue.counts.get(state, 0) for state in LIVE)
        since = time.monotonic() if left != before else since
        if time.monotonic() - since > _STANDSTILL:
            raise EngineError(f"nothing has moved for {_STANDSTILL:g} s; {text.count(left, 'job')} left")
