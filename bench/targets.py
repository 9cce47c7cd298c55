"""What Jobsworth has to reach, as ratios taken within one round or as plain limits, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Key = tuple[str, str, str]  # part, who, figure
Found = Mapping[Key, Mapping[int, float]]  # round -> value


@dataclass(frozen=True)
class Target:
    """`figure`, or its ratio to `against`, must be at least `least` or at most `most`."""

    what: str
    figure: Key
    against: Key | None = None
    least: float | None = None
    most: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Verdict:
    """A target with what was measured, one value per round."""

    target: Target
    values: Sequence[float]

    @property
    def passed(self) -> bool:
        middle = median(self.values)
        least, most = self.target.least, self.target.most
        return (least is None or middle >= least) and (most is None or middle <= most)


def _rate(who: str, part: str = "drain") -> Key:
    return (part, who, "rate")


TARGETS = (
    Target("drain at 4 slots, of the bare turn loop", _rate("jobsworth, 4 slots"), _rate("turn, 4 slots"), least=0.5),
    Target("drain at 50 slots, of the bare turn loop", _rate("jobsworth, 50 slots"), _rate("turn, 50 slots"), least=0.5),
    Target("drain at 100 slots, of the lean loop", _rate("jobsworth, 100 slots"), _rate("lean, 100 slots"), least=0.4),
    Target(
        "drain at 50 slots, times Huey with fsync",
        _rate("jobsworth, 50 slots"), _rate("huey fsync, 1 slot"), least=60, unit="×",
    ),
    Target(
        "the same on the simulated slower disk",
        _rate("jobsworth, 50 slots", "slow"), _rate("huey fsync, 1 slot", "slow"), least=60, unit="×",
    ),
    Target(
        "drain at 50 slots, times Huey without fsync",
        _rate("jobsworth, 50 slots"), _rate("huey nofsync, 1 slot"), least=3, unit="×",
    ),
)  # fmt: skip


def judge(found: Found) -> list[Verdict]:
    """Every target whose figures were measured in at least one common round."""
    verdicts = []
    for target in TARGETS:
        figures = found.get(target.figure, {})
        if target.against is None:
            values = list(figures.values())
        else:
            others = found.get(target.against, {})
            values = [value / others[number] for number, value in figures.items() if number in others]
        if values:
            verdicts.append(Verdict(target, values))
    return verdicts
