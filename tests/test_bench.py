"""The benchmark still works: its parts run, small, on Jobsworth and a bare loop. Nothing here judges speed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from bench import report  # noqa: E402
from bench.plan import PARTS  # noqa: E402
from bench.targets import TARGETS, Target, Verdict, judge  # noqa: E402

FIGURE, OTHER = ("drain", "jobsworth, 4 slots", "rate"), ("drain", "turn, 4 slots", "rate")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_a_small_run_measures_its_parts_and_breaks_nowhere(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    parts = set(PARTS) - {"slow", "slow-enqueue"}  # the same again, but in need of a C compiler
    command = [sys.executable, str(ROOT / "bench" / "run.py"), "--quick", "--against", "turn"]
    command += ["--only", ",".join(parts), "--work", str(tmp_path / "work"), "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    records = json.loads(out.read_text())["records"]
    assert {record["part"] for record in records} == parts
    for record in records:
        assert set(PARTS[record["part"]].figures) <= set(record["answer"]), record
    assert "### Targets" in done.stdout
    assert list((tmp_path / "work").iterdir()) == []


def test_every_target_names_a_figure_that_a_part_measures() -> None:
    for target in TARGETS:
        for part, who, figure in (key for key in (target.figure, target.against) if key):
            assert figure in PARTS[part].figures
            if not part.endswith("enqueue"):  # whose rows are made by one sample
                assert who in {sample.who for sample in PARTS[part].samples(False)}


def test_ratios_are_taken_within_a_round() -> None:
    target = next(each for each in TARGETS if each.figure == FIGURE)
    found = {FIGURE: {1: 50.0, 2: 500.0, 3: 7.0}, OTHER: {1: 100.0, 2: 1000.0}}
    verdict = next(each for each in judge(found) if each.target is target)
    assert list(verdict.values) == [0.5, 0.5]
    assert verdict.passed


def test_a_missed_target_is_said_to_be_short() -> None:
    table = report.verdict_table([
        Verdict(Target("a rate", FIGURE, OTHER, least=0.5), [0.4, 0.49, 0.9]),
        Verdict(Target("a wait", FIGURE, most=2, unit="ms"), [1.9]),
    ])  # fmt: skip
    first, second = table.splitlines()[2:]
    assert "≥ 50.0 %" in first
    assert "49.0 (40.0–90.0) %" in first
    assert first.rstrip(" |").endswith("short")
    assert second.rstrip(" |").endswith("PASS")
