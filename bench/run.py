"""Measure Jobsworth beside its peers and beside the bare loops, in one run.

Every sample is a process of its own on an empty store. A round takes each sample once, in shuffled order, so that what
the machine does meanwhile hits everybody alike; ratios are taken within a round. Figures are medians (min-max).
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from bench import machine, report  # noqa: E402
from bench.plan import PARTS, Sample  # noqa: E402
from bench.process import environment  # noqa: E402
from bench.servers import STORES  # noqa: E402

LIMIT = 1_800.0  # seconds a sample may take: making the stores with a million jobs is part of one
DISTRIBUTIONS = {
    "sqlite": [
        "jobsworth", "msgspec", "huey", "quebec", "Django", "django-tasks-db", "dbos", "soniq", "localqueue",
        "persist-queue", "litequeue", "apsw", "uvloop",
    ],
    "postgres": [
        "jobsworth", "msgspec", "psycopg", "procrastinate", "pgqueuer", "chancy", "saq", "oban", "asyncpg", "uvloop",
    ],
    "redis": [
        "jobsworth", "msgspec", "redis", "hiredis", "celery", "dramatiq", "rq", "arq", "saq", "taskiq", "taskiq-redis",
        "streaq", "huey", "bullmq", "uvloop",
    ],
}  # fmt: skip
PROGRAMS = {"sqlite": [], "postgres": ["postgres"], "redis": ["redis-server", "node"]}


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/run.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--only",
        default="",
        metavar="PART,...",
        help=f"only these parts, or all of a store: {', '.join([*STORES, *PARTS])}",
    )
    parser.add_argument(
        "--against", default="", metavar="NAME,...", help="only these systems, jobsworth always included"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small and once: shows that it works, not how fast")
    parser.add_argument("--write", action="store_true", help="put the figures into bench/RESULTS.md")
    parser.add_argument("--patience", type=float, default=10.0, help="seconds to wait for a quiet machine, each time")
    parser.add_argument("--work", type=Path, default=HERE / ".work", help="where stores are made: on a real disk")
    parser.add_argument("--json", type=Path, help="where the raw figures go (bench/results/<date>.json)")
    parser.add_argument("--seed", type=int, default=1, help="of the shuffling")
    given = parser.parse_args(arguments)
    unknown = [name for name in _names(given.only) if name not in {*PARTS, *STORES}]
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join([*STORES, *PARTS])}")
    return given


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def samples(given: argparse.Namespace) -> list[Sample]:
    """What one round takes, in the order of the report."""
    parts = _names(given.only) or list(PARTS)
    systems = {"jobsworth", *_names(given.against)}
    every = [
        sample for name, part in PARTS.items() if name in parts or part.store in parts
        for sample in part.samples(given.quick)
    ]  # fmt: skip
    return [sample for sample in every if not given.against or sample.system in systems]


def take(sample: Sample, work: Path, patience: float, *, quick: bool = False) -> dict[str, Any]:
    """Run one sample in an empty folder; its answer, or why there is none."""
    home = Path(tempfile.mkdtemp(prefix=f"{sample.part}-", dir=work))
    argv = [sys.executable, "-m", f"bench.{sample.module}", *sample.arguments]
    argv += ["--store", PARTS[sample.part].store, "--home", str(home), "--patience", str(patience)]
    extra = {"BENCH_TICKS": str(home / "ticks"), "BENCH_TEMPLATES": str(work / "templates")}
    extra |= {"BENCH_QUICK": "1"} if quick else {}
    try:
        done = subprocess.run(
            argv, env=environment(extra), cwd=HERE.parent, capture_output=True, text=True, timeout=LIMIT, check=False
        )
        last = done.stdout.strip().splitlines()[-1:] or [""]
        if done.returncode == 0:
            answer: dict[str, Any] = json.loads(last[0])
            return answer
        return {"broken": (done.stderr.strip().splitlines() or ["it failed and said nothing"])[-1]}
    except subprocess.TimeoutExpired:
        return {"broken": f"not done after {LIMIT:.0f} s"}
    finally:
        shutil.rmtree(home)


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """All rounds; a line on stderr for each sample."""
    todo = samples(given)
    rounds = 1 if given.quick else given.rounds
    records, order = [], {(sample.part, sample.who): place for place, sample in enumerate(todo)}
    skip: set[tuple[str, str]] = set()
    for turn in range(1, rounds + 1):
        taken = [sample for sample in todo if turn <= PARTS[sample.part].most]
        shuffled = [sample for sample in taken if (sample.part, sample.who) not in skip]
        random.Random(given.seed * 1000 + turn).shuffle(shuffled)
        for place, sample in enumerate(shuffled, 1):
            began = time.monotonic()
            answer = take(sample, given.work, 0.0 if given.quick else given.patience, quick=given.quick)
            if "absent" in answer:
                skip.add((sample.part, sample.who))
            for who, figures in answer.get("rows", {sample.who: answer}).items():
                place_in_report = order[sample.part, sample.who]
                records.append(
                    {"part": sample.part, "who": who, "round": turn, "answer": figures, "order": place_in_report}
                )
                progress = f"round {turn}/{rounds} {place}/{len(shuffled)} ({time.monotonic() - began:.0f} s)"
                print(f"{progress} {sample.part}: {who}: {said(sample.part, figures)}", file=sys.stderr)
    return records


def said(part: str, answer: dict[str, Any]) -> str:
    """An answer in one line."""
    shown = {name: answer[name] for name in (*PARTS[part].figures, "broken", "absent") if name in answer}
    return ", ".join(f"{name} {report.number(v) if isinstance(v, float) else v}" for name, v in shown.items())


def document(store: str, facts: dict[str, str], records: list[dict[str, Any]]) -> str:
    """What is said of one store."""
    mine = report.of_store(store, records)
    server = STORES[store]
    told = {"server": server.about} if server else {}
    versions = machine.versions(DISTRIBUTIONS[store], PROGRAMS[store])
    return report.document({**facts, **told, "versions": versions, "load": report.load(mine)}, mine)


def main(arguments: Sequence[str]) -> int:
    if not sys.platform.startswith("linux"):
        print("the benchmark reads CPU and memory from /proc, so it runs on Linux only", file=sys.stderr)
        return 2
    given = options(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    facts = machine.describe(given.work)
    try:
        records = measure(given)
    finally:
        shutil.rmtree(given.work / "templates", ignore_errors=True)
    texts = {store: document(store, facts, records) for store in STORES if report.of_store(store, records)}
    print("\n".join(texts.values()))
    raw = given.json or HERE / "results" / f"{facts['date'].replace(' ', '-').replace(':', '')}.json"
    report.save(raw, facts, records)
    print(f"raw figures: {raw}", file=sys.stderr)
    if given.write:
        for store, text in texts.items():
            report.write_into(HERE / "RESULTS.md", store, text)
    return 1 if any("broken" in record["answer"] for record in records) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
