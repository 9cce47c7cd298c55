"""Break one promise at a time in a copy of the source, and see that the tests notice. A mutant that lives is a failure.

make mutants                 all of them
make mutants ARGS="redis"    those whose name begins so
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SQLITE = "tests/test_engines.py -k TestSqliteEngine"
POSTGRES = "tests/test_postgres_engine.py -k TestPostgresEngine"
REDIS = "tests/test_redis_engine.py -k TestRedisEngine"
LIFE, SETTLING, SQL = "engines/sqlite/life.py", "engines/sqlite/intake.py", "engines/postgres/migrations/0001_start.sql"
ENDS = "engines/postgres/migrations/0002_statistics.sql"
LOGS = "engines/postgres/migrations/0003_logs.sql"


@dataclass(frozen=True)
class Mutant:
    """In `path` (below src/jobsworth) every `old` becomes `new`; then `tests` (pytest's arguments) must fail."""

    name: str
    path: str
    old: str
    new: str
    tests: str


MUTANTS = (
    # deciding
    Mutant(
        "lifecycle: one attempt too many", "lifecycle.py",
        "if final or errors >= allowed:", "if final or errors > allowed:", "tests/test_lifecycle.py",
    ),
    Mutant(
        "lifecycle: a cancelled job is tried again", "lifecycle.py",
        "State.SCHEDULED, word, State.CANCELLED, delay", "State.SCHEDULED, word, State.SCHEDULED, delay",
        "tests/test_lifecycle.py",
    ),
    Mutant(
        "lifecycle: a crash is never the last", "lifecycle.py",
        "if crashes >= retry.max_crashes", "if crashes > retry.max_crashes", "tests/test_lifecycle.py",
    ),
    # over HTTP
    Mutant(
        "web: everybody may see every job", "web/access.py",
        "if self.level < level or not self.serves(job.queue):", "if False:", "tests/test_web_matrix.py",
    ),
    Mutant(
        "web: users see others' jobs", "web/access.py",
        "and job.owner == self.owner", "", "tests/test_web_matrix.py",
    ),
    Mutant(
        "web: lists show all queues", "web/access.py",
        "if self.queues is None:\n            return [where]", "if True:\n            return [where]",
        "tests/test_web_matrix.py",
    ),
    Mutant(
        "web: charts count all queues", "web/past.py",
        "if request.visitor.serves(each.queue)", "if True", "tests/test_web_history.py",
    ),
    Mutant(
        "web: charts are kept for too long", "web/past.py",
        "good_for = step / 60 - 1", "good_for = step / 6", "tests/test_web_history.py",
    ),
    Mutant(
        "web: each event asks for earlier runs", "web/forecast.py",
        "known is None or time.monotonic() - known.at >= GOOD_FOR", "True", "tests/test_web_eta.py",
    ),
    Mutant(
        "web: forecasts that nobody takes back are pushed", "web/forecast.py",
        "and done_part(job.progress) is not None", "", "tests/test_web_eta.py",
    ),
    Mutant(
        "web: a look that was overtaken counts twice", "web/meter.py",
        "tuple(map(max, seen, _numbers(tally)))", "_numbers(tally)", "tests/test_web_metrics.py",
    ),
    Mutant(
        "web: minutes are remembered for ever", "web/meter.py",
        "            self._from = max(self._from, begin)\n", "", "tests/test_web_metrics.py",
    ),
    Mutant(
        "web: minutes that are forgotten count again", "web/meter.py",
        "and tally.at >= self._from", "", "tests/test_web_metrics.py",
    ),
    Mutant(
        "web: counters begin with what was there", "web/meter.py",
        "count=not anew", "count=True", "tests/test_web_metrics.py",
    ),
    Mutant(
        "web: hours count beside their minutes", "web/meter.py",
        "tally.seconds == MINUTE and", "", "tests/test_web_metrics.py",
    ),
    Mutant(
        "web: levels do not matter", "web/access.py",
        "if visitor.level >= level or", "if visitor.level is not Level.NONE or", "tests/test_web_matrix.py",
    ),
    Mutant(
        "web: bulk deletes at its route's level", "web/site.py",
        "        admit(route.level_for(request.data), request.visitor)\n", "", "tests/test_web_matrix.py",
    ),
    Mutant(
        "web: other queues can be paused", "web/site.py",
        "if not request.visitor.serves(name):", "if False:", "tests/test_web_matrix.py",
    ),
    Mutant(
        "web: other sites may ask", "web/access.py",
        'return fetched in ("same-origin", "none")', "return True", "tests/test_web_security.py -k site",
    ),
    Mutant(
        "web: a cookie counts with a token of another site's page", "web/site.py",
        "await self._judged(request) if trusted else NOBODY", "await self._judged(request)",
        "tests/test_web_security.py -k token",
    ),
    Mutant("web: tokens never end", "tokens.py", "if time.time() < until", "if until", "tests/test_web_security.py"),
    Mutant(
        "web: a page rebound to this machine is local", "web/access.py",
        "addressed = [f\"//{request.headers.get('host', '')}\"]", "addressed = []",
        "tests/test_web_security.py -k local",
    ),
    Mutant(
        "web: bodies of any type are taken", "web/site.py",
        "!= JSON:", "== 7:", "tests/test_web_security.py -k json",
    ),
    Mutant(
        "web: bulk does not count", "web/operators.py",
        "if number != expect:", "if False:", "tests/test_web_operators.py -k memory",
    ),
    Mutant(
        "web: bulk changes whatever matches by now", "web/choice.py",
        "msgspec.structs.replace(where, newest_first=False, limit=number)", "where",
        "tests/test_web_operators.py -k memory",
    ),
    Mutant(
        "web: users read exceptions", "web/hub.py",
        "error_line(job.failure) if details else", "error_line(job.failure) if True else",
        "tests/test_web_live.py -k operators",
    ),
    Mutant(
        "web: a text ends a line of the stream", "web/hub.py",
        "if not data.isascii():", "if False:", "tests/test_web_live.py -k line",
    ),
    Mutant(
        "socket: pages of any origin open one", "web/site.py",
        'if request.headers.get("origin") not in self.origins:', "if False:", "tests/test_web_sockets.py -k origins",
    ),
    Mutant(
        "socket: none at all counts as a good origin", "web/site.py",
        'if request.headers.get("origin") not in self.origins:',
        'if request.headers.get("origin") not in {None, *self.origins}:', "tests/test_web_sockets.py -k origins",
    ),
    Mutant(
        "socket: nobody is admitted", "web/sockets.py",
        "        admit(self._level, visitor)\n", "", "tests/test_web_sockets.py -k role",
    ),
    Mutant(
        "socket: a token is remembered", "web/sockets.py",
        "            visitor = msgspec.structs.replace(visitor, jobs=visitor.jobs | jobs)\n",
        "            visitor = msgspec.structs.replace(visitor, jobs=visitor.jobs | jobs)\n"
        "            self._request.visitor = visitor\n", "tests/test_web_sockets.py -k tokens",
    ),
    Mutant(
        "socket: jobs without number", "web/sockets.py",
        "> MOST_JOBS:", "> MOST_JOBS * 9:", "tests/test_web_sockets.py -k no_more_jobs",
    ),
    Mutant(
        "socket: what has ended is watched on", "web/sockets.py",
        "if event.final and event.job_id is not None", "if False", "tests/test_web_sockets.py -k end_and_no_further",
    ),
    Mutant(
        "socket: strangers take the places of others", "web/sockets.py",
        "if request.visitor.level >= level or request.visitor.jobs:", "if True:",
        "tests/test_web_sockets.py -k places",
    ),
    Mutant(
        "socket: nobody waits for a slow reader", "web/asgi.py",
        'await self._send({"type": "websocket.send", "text": text})',
        'asyncio.ensure_future(self._send({"type": "websocket.send", "text": text}))',
        "tests/test_web_sockets.py -k never_reads",
    ),
    # SQLite
    Mutant(
        "sqlite: endings without a fence", LIFE,
        "AND fence = ending.value ->> 1 AND", "AND", SQLITE,
    ),
    Mutant(
        "sqlite: heartbeats without a fence", LIFE,
        'RENEW = "UPDATE jobsworth_jobs SET lease_until = ? WHERE seq = ? AND fence = ?',
        'RENEW = "UPDATE jobsworth_jobs SET lease_until = ? WHERE seq = ? AND (fence = ? OR 1)', SQLITE,
    ),
    Mutant(
        "sqlite: progress without a fence", LIFE,
        'version = version + 1"\n    " WHERE seq = ? AND fence = ? AND state > 1',
        'version = version + 1"\n    " WHERE seq = ? AND (fence = ? OR 1) AND state > 1', SQLITE,
    ),
    Mutant(
        "sqlite: a request to stop is overlooked", LIFE,
        "ending.if_cancelling if code == CODES[State.CANCELLING] else ending.target", "ending.target", SQLITE,
    ),
    Mutant("sqlite: paused queues are served", LIFE, "each.queue not in paused and", "", SQLITE),
    Mutant("sqlite: a full queue takes more", SETTLING, "if waiting > room:", "if waiting > room + 1:", SQLITE),
    Mutant("sqlite: a lease never runs out", LIFE, "OR lease_until <= ?", "OR lease_until <= ? - 1e9", SQLITE),
    Mutant(
        "sqlite: two tasks are counted as one", "engines/sqlite/tallies.py", "task == last_task and", "", SQLITE,
    ),
    Mutant(
        "sqlite: statistics are lost when they are packed", "engines/sqlite/tallies.py",
        "        _add(connection, statistics.totals(cells))\n", "", SQLITE,
    ),
    Mutant(
        "sqlite: taking over leaves the old lease valid", LIFE,
        "SET fence = fence + 1, lease_until = ? WHERE", "SET lease_until = ? WHERE", f"{SQLITE} and over",
    ),
    Mutant(
        "sqlite: lines without a fence", "engines/sqlite/logs.py",
        "WHERE seq = ? AND fence = ? AND state > 1 AND state < 4", "WHERE seq = ? AND ?", f"{SQLITE} and lines",
    ),
    Mutant(
        "sqlite: lines without a bound", "engines/sqlite/logs.py", "if head.place - head.base > KEPT:", "if False:",
        "tests/test_logs.py -k not_kept_either",
    ),
    # PostgreSQL
    Mutant(
        "postgres: lines without a fence", LOGS,
        "job.seq = each.seq AND job.fence = each.fence AND job.state + 0 IN (2, 3)", "job.seq = each.seq",
        f"{POSTGRES} and lines",
    ),
    Mutant(
        "postgres: lines that are sent again are kept twice", LOGS,
        "greatest(v_said.first, v_newest.last + 1)", "v_said.first", f"{POSTGRES} and again",
    ),
    Mutant(
        "postgres: endings without a fence", ENDS,
        "job.seq = ending.seq AND job.fence = ending.fence AND", "job.seq = ending.seq AND", POSTGRES,
    ),
    Mutant(
        "postgres: failures without a fence", ENDS,
        "job.seq = v_end.seq AND job.fence = v_end.fence AND", "job.seq = v_end.seq AND", POSTGRES,
    ),
    Mutant(
        "postgres: progress without a fence", SQL,
        "job.seq = sign.seq AND job.fence = sign.fence AND", "job.seq = sign.seq AND", POSTGRES,
    ),
    Mutant(
        "postgres: an ended job is ended again", ENDS,
        "AND job.state + 0 IN (2, 3)\n            RETURNING ending.place", "\n            RETURNING ending.place",
        POSTGRES,
    ),
    Mutant(
        "postgres: a request to stop is overlooked", ENDS,
        "CASE WHEN v_job.state = 3 THEN v_end.if_cancelling ELSE v_end.target END", "v_end.target", POSTGRES,
    ),
    Mutant("postgres: paused queues are served", SQL, "AND known.paused", "AND false", POSTGRES),
    Mutant("postgres: a full queue takes more", SQL, "> v_room.size\n", "> v_room.size + 1\n", POSTGRES),
    Mutant(
        "postgres: two live jobs of one key", SQL,
        "v_job.state > 3 AND v_job.key IS NOT NULL AND EXISTS", "false AND EXISTS", POSTGRES,
    ),
    Mutant(
        "postgres: a poison job takes company along", SQL,
        "v_crashed := v_found > 0;", "v_crashed := false;", POSTGRES,
    ),
    Mutant(
        "postgres: a client's clock", "engines/postgres/engine.py",
        "return None if self._clock is None else self._clock()",
        "return __import__('time').time() if self._clock is None else self._clock()",
        "tests/test_postgres_engine.py -k clock",
    ),
    # a handler's own transaction
    Mutant(
        "completion: a transaction without a fence", "engines/postgres/completing.py",
        "    if not rows:\n", "    if False:\n", "tests/test_completion_in_coroutines.py -k lost_lease",
    ),
    Mutant(
        "completion: a cancellation cuts the commit short", "completion.py",
        "await _to_the_end(block.__aexit__(kind, exc, trace))", "await block.__aexit__(kind, exc, trace)",
        "tests/test_completion_in_coroutines.py -k while_it_commits",
    ),
    Mutant(
        "postgres: taking over leaves the old lease valid", SQL,
        "SET fence = job.fence + 1, lease_until", "SET lease_until", f"{POSTGRES} and over",
    ),
    Mutant(
        "postgres: a claim leaves the old lease valid", SQL,
        "attempt = job.attempt + 1, fence = job.fence + 1,", "attempt = job.attempt + 1,", f"{POSTGRES} and stale",
    ),
    Mutant(
        "postgres: a retry is not counted", SQL,
        "errors = job.errors + v_end.errors", "errors = job.errors", f"{POSTGRES} and (run_out or history)",
    ),
    Mutant(
        "postgres: a crash is not counted", SQL,
        "crashes = job.crashes + v_end.crashes", "crashes = job.crashes", f"{POSTGRES} and (lost or poison)",
    ),
    Mutant(
        "postgres: what costs nothing uses an attempt", SQL,
        "attempt = job.attempt - v_end.refund", "attempt = job.attempt", f"{POSTGRES} and refunded",
    ),
    Mutant("postgres: keys are not unique", SQL, "UNIQUE INDEX jobs_key", "INDEX jobs_key", f"{POSTGRES} and key"),
    Mutant(
        "postgres: a cancel is not heard", SQL,
        "WHERE job.seq IS NULL OR job.state = 3", "WHERE job.seq IS NULL", f"{POSTGRES} and (asked or bring)",
    ),
    Mutant(
        "postgres: a job starts before it came", SQL,
        "started_at = chosen.now", "started_at = v_now", "tests/test_postgres_engine.py -k a_claim_that_waited",
    ),
    # Redis
    Mutant(
        "redis: lines without a fence", "engines/redis/lua/log.lua", "job.fence == said[2] and", "",
        f"{REDIS} and lines",
    ),
    Mutant(
        "redis: old runs' lines stay", "engines/redis/lua/log.lua", "while run > RUNS_KEPT do", "while false do",
        f"{REDIS} and newest_runs",
    ),
    Mutant("redis: endings without a fence", "engines/redis/lua/plain.lua", "fence == given and", "", REDIS),
    Mutant("redis: failures without a fence", "engines/redis/lua/settle.lua", "job.fence ~= ending[2] or", "", REDIS),
    Mutant("redis: heartbeats without a fence", "engines/redis/lua/ear.lua", "fence == told[i][2] and", "", REDIS),
    Mutant(
        "redis: a request to stop is overlooked", "engines/redis/lua/settle.lua",
        "job.state == CANCELLING and ending[4] or ending[3]", "ending[3]", REDIS,
    ),
    Mutant(
        "redis: two that pack undo each other's work", "engines/redis/lua/pack.lua",
        "~= change[3] then return 0", "~= change[3] and false then return 0",
        "tests/test_statistics.py -k two_that_pack",
    ),
    Mutant(
        "redis: an ended job is ended again", "engines/redis/lua/plain.lua",
        "and (state == RUNNING or state == CANCELLING) then", "then", f"{REDIS} and once",
    ),
    Mutant(
        "redis: progress without a fence", "engines/redis/lua/ear.lua",
        "      lost[#lost + 1] = id\n",
        "      lost[#lost + 1] = id\n      if visit and record then visit(told[i], record) end\n",
        f"{REDIS} and stale",
    ),
    Mutant(
        "redis: taking over leaves the old lease valid", "engines/redis/lua/reclaim.lua",
        "make('<d', fence + i)", "sub(record, FENCE_AT + 1, FENCE_AT + 8)", f"{REDIS} and over",
    ),
    Mutant(
        "redis: a lease never runs out", "engines/redis/lua/reclaim.lua",
        "held_until(now),", "held_until(now - 1000000000),", f"{REDIS} and over",
    ),
    Mutant(
        "redis: a retry is not counted", "engines/redis/lua/settle.lua",
        "job.errors + ending[8]", "job.errors", f"{REDIS} and (run_out or history)",
    ),
    Mutant(
        "redis: a crash is not counted", "engines/redis/lua/settle.lua",
        "job.crashes + ending[9]", "job.crashes", f"{REDIS} and (lost or poison)",
    ),
    Mutant(
        "redis: a poison job takes company along", "engines/redis/lua/give.lua",
        "    crashed_given = true\n", "", f"{REDIS} and crashed",
    ),
    Mutant(
        "redis: keys are not unique", "engines/redis/lua/store.lua",
        "if not there and key then", "if false then", f"{REDIS} and key",
    ),
    Mutant(
        "redis: a full queue takes more", "engines/redis/lua/store.lua",
        "number + more[queue] > size then", "number + more[queue] > size + 1 then", f"{REDIS} and (full or room)",
    ),
    Mutant(
        "redis: paused queues are served", "engines/redis/lua/brisk.lua",
        "and call('HGET', NS .. SETTINGS, queue) ~= '1'", "", f"{REDIS} and paus",
    ),
    Mutant(
        "redis: a cancel is not heard", "engines/redis/lua/ear.lua",
        "      if job then\n", "      if false then\n", f"{REDIS} and (asked or bring)",
    ),
    Mutant(
        "redis: a client's clock", "engines/redis/engine.py",
        '"" if self._clock is None else repr(self._clock())', "repr((self._clock or __import__('time').time)())",
        "tests/test_redis_engine.py -k servers_clock",
    ),
    # captured logs
    Mutant(
        "logs: a run keeps all its lines", "journal.py", "deque(maxlen=KEPT)", "deque()",
        "tests/test_logs.py -k no_more_lines",
    ),
    Mutant(
        "logs: the last lines do not come with the ending", "worker/endings.py",
        "note, lines = self.context.untold(), self.context.untold_lines()", "note, lines = self.context.untold(), ()",
        "tests/test_logs.py -k last_lines",
    ),
    Mutant(
        "logs: lines whose pulse failed are lost", "worker/news.py",
        "            context.journal.untell(pulse.lines)\n", "", "tests/test_logs.py -k not_answered",
    ),
    Mutant(
        "logs: the level is not heeded", "runners/capture.py", "record.levelno >= job.log_level", "True",
        "tests/test_logs.py -k level_on",
    ),
    # the worker
    Mutant(
        "worker: strays are not looked for", "worker/strays.py",
        "self._since = sent if self._since is None else self._since", "self._since = None",
        "tests/fire/test_outages.py -k answer_was_cut",
    ),
    Mutant(
        "worker: strays are told from nothing that runs", "worker/strays.py",
        "if ending.key not in self.known]", "]", "tests/fire/test_outages.py -k answer_was_cut",
    ),
    Mutant(
        "worker: endings are forgotten before they are written", "worker/office.py",
        "        answer = await self._ask(endings, want)\n",
        "        self._unsettled = []\n        answer = await self._ask(endings, want)\n",
        "tests/test_worker_outages.py",
    ),
    Mutant(
        "worker: the second ending of a run counts too", "worker/shop.py",
        "if self.runs.pop(run.key, None) is None:", "if self.runs.pop(run.key, None) is Ellipsis:",
        "tests/test_run_stopping.py",
    ),
    Mutant(
        "worker: more is claimed than there are slots", "worker/office.py",
        "            free[queue] -= slots\n", "            free[queue] -= 0\n", "tests/test_worker.py -k slot",
    ),
    Mutant(
        "worker: heartbeats stop while a job runs", "worker/office.py",
        "        told = gather(list(self._shop.runs.values()), silent_too=True)\n", "        told: Told = []\n",
        "tests/fire/test_kills.py -k blocks_the_loop",
    ),
    # the testing kit
    Mutant(
        "kit: what was enqueued too often is not told", "testing/kit.py",
        "else found != count", "else found < count", "tests/test_testing_kit.py",
    ),
    Mutant(
        "kit: nothing is ever refuted", "testing/kit.py",
        "        if self._matching(wanted):\n", "        if False:\n", "tests/test_testing_kit.py",
    ),
    Mutant(
        "kit: every delay is as wanted", "testing/wanted.py",
        "if abs(there - wanted) <= (0.001 if wanted < 1 else 0.5):", "if True:", "tests/test_testing_kit.py",
    ),
    Mutant(
        "kit: the clock stops nowhere on its way", "testing/clock.py",
        "        while (stop := min(self._stops(), default=target)) < target:\n            self._move(stop)\n", "",
        "tests/test_testing_kit.py",
    ),
    Mutant(
        "kit: of several apps it takes one", "testing/which.py",
        "        if apps:\n            raise", "        if False:\n            raise", "tests/test_testing_kit.py",
    ),
    Mutant(
        "kit: a handler's jobs run while it is killed", "testing/fragile.py",
        "        if life.alone:\n", "        if False:\n", "tests/test_testing_crash.py -k keys_hold",
    ),
    Mutant(
        "kit: what a rollback undoes counts as done", "testing/crash.py",
        "inside = happened is not None and", "inside = False and", "tests/test_testing_crash.py -k transaction",
    ),
    Mutant(
        "kit: apps made during a test keep their own store", "integrations/celery/contrib/testing/app.py",
        "            self._stack.enter_context(current.looking_on(self._take_in))\n", "",
        "tests/test_testing_celery.py -k declared_later",
    ),
    Mutant(
        "kit: Celery's time limits lead out of the test's process", "integrations/celery/contrib/testing/app.py",
        "        app.conf.worker_pool = POOL\n", "        pass\n", "tests/test_testing_celery.py -k limits",
    ),
    Mutant(
        "kit: nobody hears of tasks that were declared since", "integrations/celery/contrib/testing/worker.py",
        "        self._serve([(job.task, job.queue) for job in jobs])\n", "        pass\n",
        "tests/test_testing_celery.py -k declared_later",
    ),
)  # fmt: skip


def attempt(mutant: Mutant) -> str:
    """What became of it: "caught", "LIVES", or why it could not be made."""
    with tempfile.TemporaryDirectory(prefix="jobsworth-mutant-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        path = copy / "jobsworth" / mutant.path
        text = path.read_text(encoding="utf-8")
        if mutant.old not in text:
            return f"CANNOT BE MADE: {mutant.path} does not say {mutant.old!r} any more"
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        argv = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            *mutant.tests.split(" -k ", 1)[:1],
        ]
        if " -k " in mutant.tests:
            argv += ["-k", mutant.tests.split(" -k ", 1)[1]]
        environment = {**os.environ, "PYTHONPATH": str(copy), "HISTORIES": "1"}
        done = subprocess.run(  # noqa: S603 (our own tests)
            argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
    if done.returncode == 1 and " failed" in done.stdout:
        return "caught"
    return "LIVES" if done.returncode == 0 else f"NOT TESTED: {done.stdout.strip().splitlines()[-1:]}"


def main(names: list[str]) -> int:
    """Try every mutant whose name begins like one of `names`; 1 if one of them was not caught."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name.startswith(tuple(names))]
    escaped = 0
    for number, mutant in enumerate(chosen, 1):
        began = time.monotonic()
        fate = attempt(mutant)
        escaped += fate != "caught"
        print(f"{number:2}/{len(chosen)} {fate:7} {mutant.name} ({time.monotonic() - began:.0f} s)", flush=True)  # noqa: T201
    print(f"{len(chosen) - escaped} of {len(chosen)} were caught")  # noqa: T201
    return 1 if escaped or not chosen else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
