"""Looking after the installation: migrate, doctor, bench and version."""

from __future__ import annotations

import platform
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from jobsworth.app import Jobsworth
from jobsworth.errors import BadOption, ConfigurationError, EngineError
from jobsworth.job import LIVE
from jobsworth.log import clean
from jobsworth.version import VERSION

from . import text
from .options import DEFAULTS, Common, NoDatabaseYet, database_of, first_line, load, looking, shown, spec_of
from .status import report_of, warnings, worker_note
from .terminal import put, put_json, say, styled

_SIGNS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "error": ("✗", "red")}
_STANDSTILL = 60.0  # seconds without a job done after which a measurement is given up
Finding = tuple[str, str, str]


def migrate(*, check: Annotated[bool, Parameter(negative="")] = False, common: Common = DEFAULTS) -> int:
    """Make the database, or bring its schema up to date.

    For example:
      jobsworth migrate
      jobsworth migrate --check

    Workers and programs do the same when they open it; this is for doing it first, on its own.

    Parameters
    ----------
    check
        Change nothing; exit code 2 if something is to be done.
    """
    with looking(common, makes=True) as store:
        path = database_of(store)
        before = _schema(path)
        if not check:
            store.bridge.call(lambda engine: engine.queues([]))  # opening it migrates it
        after = _schema(path)
    from jobsworth.engines.sqlite.migrate import latest

    due = after != latest()
    if common.json:
        put_json({"database": path, "before": before, "schema": after, "latest": latest(), "due": due})
    elif check:
        state = "no database yet" if after is None else f"schema {after}"
        put(
            f"{_name(path)}: {state}, this version needs {latest()}"
            + ("; run jobsworth migrate" if due else ": nothing to do")
        )
    else:
        put(f"{_name(path)}: schema {after}" + (" already" if before == after else f" (was {before or 'not there'})"))
    return 2 if due else 0


def _name(path: str | None) -> str:
    return "the database" if path is None else shown(path)


def _schema(path: str | None) -> int | None:
    """The schema of a file, without changing it; None if there is no file."""
    from jobsworth.engines.sqlite import migrate as migrations
    from jobsworth.engines.sqlite.faults import translate

    if path is None or not Path(path).exists():
        return None
    try:
        connection = sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True)
        try:
            found = migrations.version(connection)
        finally:
            connection.close()
    except sqlite3.Error as exc:
        raise translate(exc, Path(path)) from exc
    migrations.check(found, Path(path))
    return found


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

    It says what this machine and this disk do today; it compares with nothing.

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
    with tempfile.TemporaryDirectory(prefix="jobsworth-bench-", dir=folder) as place:
        figures = _measure(f"sqlite:///{place}/bench.db", jobs, slots)
    if common.json:
        put_json(figures)
        return 0
    put(f"enqueue, one by one   {figures['enqueue_per_second']:>10,.0f} jobs/s   each on disk before it returns")
    put(f"enqueue, 1,000 at once{figures['enqueue_many_per_second']:>10,.0f} jobs/s")
    put(f"drain                 {figures['drain_per_second']:>10,.0f} jobs/s   {slots} slots, one process")
    say(f"{jobs:,} jobs on SQLite {sqlite3.sqlite_version}, Python {platform.python_version()}; this machine, now")
    return 0


def _measure(url: str, jobs: int, slots: int) -> dict[str, Any]:
    app = Jobsworth(url)
    task = app.task(name="nothing")(_nothing)
    try:
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
        with app.worker({"default": slots}):
            _drained(app)
            drain = time.perf_counter() - started
    finally:
        app.close()
    return {
        "jobs": jobs, "slots": slots, "enqueue_per_second": round(singles / single, 1),
        "enqueue_many_per_second": round(jobs / many, 1), "drain_per_second": round((jobs + singles) / drain, 1),
    }  # fmt: skip


def _drained(app: Jobsworth) -> None:
    """Wait until nothing is left. Looks seldom, so as not to be part of what is measured."""
    left, since = -1, time.monotonic()
    while left:
        time.sleep(0.02)
        (queue,) = app.bridge.call(lambda engine: engine.queues(["default"], brief=True))
        before, left = left, sum(queue.counts.get(state, 0) for state in LIVE)
        since = time.monotonic() if left != before else since
        if time.monotonic() - since > _STANDSTILL:
            raise EngineError(f"nothing has moved for {_STANDSTILL:g} s; {text.count(left, 'job')} left")
