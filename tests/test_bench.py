"""The benchmark still works: its parts run, small, on Jobsworth and a bare loop. Nothing here judges speed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from servers import required

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from bench import report  # noqa: E402
from bench.plan import PARTS  # noqa: E402
from bench.servers import STORES, Missing, find  # noqa: E402
from bench.targets import TARGETS, Target, Verdict, judge  # noqa: E402

LIMIT = 600  # seconds: each of some thirty samples is a process of its own, with a server of its own, and a real disk
FIGURE, OTHER = ("drain", "jobsworth, 4 slots", "rate"), ("drain", "turn, 4 slots", "rate")


@pytest.mark.timeout(LIMIT)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_a_small_run_measures_its_parts_and_breaks_nowhere(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    on_sqlite = {name for name, part in PARTS.items() if part.store == "sqlite"}
    parts = on_sqlite - {"slow", "slow-enqueue"}  # the same again, but in need of a C compiler
    run_small(parts, tmp_path / "work", out)


@pytest.mark.timeout(LIMIT)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_a_small_run_starts_servers_of_its_own_and_ends_them(store: str, tmp_path: Path) -> None:
    pytest.importorskip(
        f"jobsworth.engines.{store}", reason=f"NOT TESTED: no engine for {store} here", exc_type=ImportError
    )
    find_or_skip(store)
    parts = {f"{store}-{name}" for name in ("drain", "flat", "enqueue", "idle")}
    parts |= {"redis-memory"} & set(PARTS) if store == "redis" else set()
    with tempfile.TemporaryDirectory() as reachable:  # pytest's own folder is closed to the user PostgreSQL runs as
        Path(reachable).chmod(0o711)
        run_small(parts, Path(reachable) / "work", tmp_path / "figures.json")
        left = [path for path in Path("/proc").glob("[0-9]*/cwd") if str(folder_of(path)).startswith(reachable)]
    assert left == []


def folder_of(link: Path) -> Path | None:
    try:
        return link.readlink()
    except OSError:  # it has ended, or is another user's
        return None


def find_or_skip(store: str) -> None:
    kind = STORES[store]
    assert kind is not None
    try:
        find(kind.program)
    except Missing as missing:
        if required():
            raise
        pytest.skip(f"NOT TESTED: {missing}")


def run_small(parts: set[str], work: Path, out: Path) -> None:
    """Jobsworth and the turn loop, once; every figure is there and nothing is left over."""
    command = [sys.executable, str(ROOT / "bench" / "run.py"), "--quick", "--against", "turn"]
    command += ["--only", ",".join(sorted(parts)), "--work", str(work), "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT - 60)
    assert done.returncode == 0, done.stderr
    records = json.loads(out.read_text())["records"]
    assert {record["part"] for record in records} == parts
    for part in parts - {"drain", "postgres-drain", "redis-drain"}:  # where the peers were left out
        assert {record["who"] for record in records if record["part"] == part} == PARTS[part].who(quick=True)
    for record in records:
        assert set(PARTS[record["part"]].figures) <= set(record["answer"]), record
    assert "### Targets" in done.stdout
    assert list(work.iterdir()) == []


def test_every_target_names_a_figure_that_a_part_measures() -> None:
    for target in TARGETS:
        for part, who, figure in (target.figure, *target.against):
            assert figure in PARTS[part].figures
            assert who in PARTS[part].who(quick=False)


def test_ratios_are_taken_within_a_round() -> None:
    target = next(each for each in TARGETS if each.figure == FIGURE)
    found = {FIGURE: {1: 50.0, 2: 500.0, 3: 7.0}, OTHER: {1: 100.0, 2: 1000.0}}
    verdict = next(each for each in judge(found) if each.target is target)
    assert list(verdict.values) == [0.5, 0.5]
    assert verdict.passed


def test_a_ratio_to_several_is_the_ratio_to_the_quickest_of_a_round() -> None:
    target = next(each for each in TARGETS if len(each.against) > 1)
    slow, quick = target.against[:2]
    found = {target.figure: {1: 80.0, 2: 80.0}, slow: {1: 1.0, 2: 40.0}, quick: {1: 10.0}}
    verdict = next(each for each in judge(found) if each.target is target)
    assert list(verdict.values) == [8.0, 2.0]


def test_figures_are_written_for_one_store_and_leave_the_others(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    results.write_text((ROOT / "bench" / "RESULTS.md").read_text())
    for store in ("sqlite", "redis"):
        report.write_into(results, store, "old figures")
    before = results.read_text()
    report.write_into(results, "redis", "new figures")
    after = results.read_text()
    assert "old figures" in after
    assert after.count("new figures") == 1
    assert [line for line in before.splitlines() if line.startswith("#")] == [
        line for line in after.splitlines() if line.startswith("#")
    ]


def test_a_missed_target_is_said_to_be_short() -> None:
    table = report.verdict_table([
        Verdict(Target("a rate", FIGURE, (OTHER,), least=0.5), [0.4, 0.49, 0.9]),
        Verdict(Target("a wait", FIGURE, most=2, unit="ms"), [1.9]),
    ])  # fmt: skip
    first, second = table.splitlines()[2:]
    assert "≥ 50.0 %" in first
    assert "49.0 (40.0–90.0) %" in first
    assert first.rstrip(" |").endswith("short")
    assert second.rstrip(" |").endswith("PASS")
