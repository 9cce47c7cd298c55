"""Figures as people read them: tables in Markdown, used on the terminal and in RESULTS.md alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.plan import PARTS
from bench.targets import Found, Verdict, judge

BEGIN, END = "<!-- figures on {}: written by bench/run.py --write -->", "<!-- end of figures on {} -->"

Record = Mapping[str, Any]  # part, who, round, answer


def collect(records: Iterable[Record]) -> Found:
    """Every figure by part, row, name and round."""
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    for record in records:
        for name, value in record["answer"].items():
            if isinstance(value, int | float):
                found.setdefault((record["part"], record["who"], name), {})[record["round"]] = float(value)
    return found


def number(value: float) -> str:
    """A figure with as many digits as mean something."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def spread(values: Sequence[float]) -> str:
    """median (min-max)."""
    middle = number(median(values))
    return f"{middle} ({number(min(values))}–{number(max(values))})" if len(values) > 1 else middle


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, padded so that it reads well on a terminal too."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
             for row in (head, ["-" * width for width in widths], *rows)]  # fmt: skip
    return "\n".join(lines)


def part_table(part: str, found: Found, records: Sequence[Record]) -> str:
    """One part: a row per contestant, then whoever could not be measured and why."""
    shown = PARTS[part].figures
    names = list(dict.fromkeys(record["who"] for record in sorted(records, key=lambda each: each["order"])))
    rows = []
    for who in names:
        cells = [found.get((part, who, figure), {}) for figure in shown]
        if any(cells):
            answers = [record["answer"] for record in records if record["who"] == who]
            about = next((answer["about"] for answer in answers if "about" in answer), "")
            rows.append([who, *(spread(list(cell.values())) if cell else "–" for cell in cells), about])
    lines = [f"### {PARTS[part].title}", "", PARTS[part].note, "", table(["", *shown.values(), "about"], rows)]
    missing = {(record["who"], why) for record in records for why in _why_not(record["answer"])}
    lines += ["", *(f"- {who}: {why}" for who, why in sorted(missing))] if missing else []
    return "\n".join(lines)


def _why_not(answer: Mapping[str, Any]) -> list[str]:
    return [str(answer[key]) for key in ("absent", "broken") if key in answer]


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Targets, what was measured, and PASS or short."""
    rows = []
    for verdict in verdicts:
        target = verdict.target
        percent = bool(target.against) and not target.unit
        values = [value * 100 for value in verdict.values] if percent else verdict.values
        unit = " %" if percent else f" {target.unit}" if target.unit else ""
        bound = target.least if target.least is not None else target.most or 0.0
        sign = "≥" if target.least is not None else "≤"
        wanted = f"{sign} {number(bound * 100 if percent else bound)}{unit}"
        word = "PASS" if verdict.passed else "short"
        rows.append([target.what, wanted, spread(values) + unit, word])
    return table(["what", "target", "measured", ""], rows)


def of_store(store: str, records: Sequence[Record]) -> list[Record]:
    """Those of the parts that are measured on it."""
    return [record for record in records if PARTS[record["part"]].store == store]


def document(facts: Mapping[str, str], records: Sequence[Record]) -> str:
    """Everything of one run."""
    found = collect(records)
    lines = [*(f"- {name}: {value}" for name, value in facts.items()), ""]
    verdicts = judge(found)
    if verdicts:
        lines += ["### Targets", "", verdict_table(verdicts), ""]
    for part in PARTS:
        mine = [record for record in records if record["part"] == part]
        if mine:
            lines += [part_table(part, found, mine), ""]
    return "\n".join(lines)


def load(records: Sequence[Record]) -> str:
    """How much of a core other processes used during the samples, and what the hypervisor took."""
    others = [record["answer"]["others"] for record in records if "others" in record["answer"]]
    stolen = [record["answer"]["stolen"] for record in records if "stolen" in record["answer"]]
    if not others:
        return "not noted"
    return f"other processes used {spread(others)} of a core meanwhile, the hypervisor took {spread(stolen)}"


def save(path: Path, facts: Mapping[str, str], records: Sequence[Record]) -> None:
    """The raw answers as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"facts": dict(facts), "records": list(records)}, indent=1) + "\n")


def write_into(results: Path, store: str, text: str) -> None:
    """Replace a store's figures in RESULTS.md; what people wrote around them, and those of other stores, stay."""
    begin, end = BEGIN.format(store), END.format(store)
    before, _, rest = results.read_text().partition(begin)
    _, _, after = rest.partition(end)
    results.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")
