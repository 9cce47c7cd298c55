"""`make mutants` breaks lines of the source: here only that they are still there."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_mutant_can_still_be_made() -> None:
    mutants = runpy.run_path(str(ROOT / "scripts" / "mutants.py"))["MUTANTS"]
    source = ROOT / "src" / "jobsworth"
    gone = [each.name for each in mutants if each.old not in (source / each.path).read_text(encoding="utf-8")]
    assert gone == []
    tests = {part for each in mutants for part in each.tests.partition(" -k ")[0].split() if part.endswith(".py")}
    assert [part for part in sorted(tests) if not (ROOT / part.partition("::")[0]).exists()] == []
