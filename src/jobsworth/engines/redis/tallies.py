"""How runs ended: counted by the script that ends them, packed when their minute is over, read for charts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ... import statistics
from ...statistics import BOUNDS, BUCKETS, DAY, HOUR, MINUTE, Cell, Entry, Key, Statistics, Sum
from .keys import SUFFIXES
from .record import MOMENT

HOURS_AT_ONCE = 24  # hours of minutes folded by one tidy(): what is left waits for the next
FOR_EVER = 1_000_000_000  # minutes
EVERYTHING = 10_000  # hours
CELLS, MINUTES, HOURS = SUFFIXES["CELLS"], SUFFIXES["MINUTES_OF"], SUFFIXES["HOURS_OF"]
Run = Callable[..., Any]
Change = tuple[str, str, bytes | None, bytes | None]  # key, field, as it was, as it will be
Packed = dict[tuple[str, str], bytes]  # key, field
_to_msgpack = msgspec.msgpack.Encoder().encode


def constants() -> dict[str, str]:
    """Text for scripts that is no word of ours: the bounds one after another, and how many buckets they make."""
    return {"BOUNDS": ", ".join(map(repr, BOUNDS)), "BUCKETS": str(BUCKETS)}


def told(run: Run, since: float, step: float, queue: str | None, task: str | None) -> Statistics:
    """See Engine.statistics()."""
    reach = math.ceil(min(max(since, 0.0) + max(step, 0.0), FOR_EVER * 60.0) / 60) + HOUR
    now, cells, packed = _tell(run, minutes=(reach, 0), hours=(reach, 0))
    # Before any is unpacked: there may be many, of other tasks.
    packed = {place: value for place, value in packed.items() if _is_of(place[1], queue, task)}
    entries = (each for each in _entries(cells, packed) if queue in (None, each[2]) and task in (None, each[3]))
    return statistics.told(entries, now, since, step)


def note(run: Run, looks: dict[str, Sum]) -> None:
    """How full queues stand, once in every minute."""
    if looks:
        now, _, _ = _tell(run)
        for queue, seen in looks.items():  # one by one: where somebody has noted it already, nothing is done
            _swap(run, (), {(statistics.minute_of(now), MINUTE, queue, statistics.QUEUE): seen}, {})


def tidy(run: Run) -> None:
    """Pack the minutes that are over, fold those of long ago into hours, drop what is too old."""
    _pack(run)
    _fold(run)
    _drop(run)


def _pack(run: Run) -> None:
    now, cells, _ = _tell(run)
    over = {field: value for field, value in cells.items() if int(field.split("/", 1)[0]) < statistics.minute_of(now)}
    if not over:
        return
    totals = statistics.totals(_cells(over))
    oldest = statistics.minute_of(now) - min(key[0] for key in totals)
    _, _, there = _tell(run, minutes=(oldest, 0))
    _swap(run, [(CELLS, field, value, None) for field, value in over.items()], totals, there)


def _fold(run: Run) -> None:
    now, _, packed = _tell(run, minutes=(FOR_EVER, statistics.KEEP_MINUTES), most=HOURS_AT_ONCE)
    old = {place: value for place, value in packed.items() if _minute(place[1]) < statistics.fold_before(now)}
    if not old:
        return
    totals = statistics.folded(_entries({}, old))
    ago = [statistics.minute_of(now) - key[0] for key in totals]
    _, _, there = _tell(run, hours=(max(ago), min(ago)))
    _swap(run, [(*place, value, None) for place, value in old.items()], totals, there)


def _drop(run: Run) -> None:
    now, _, packed = _tell(run, hours=(FOR_EVER, statistics.KEEP_HOURS))
    old = [place for place in packed if _minute(place[1]) < statistics.drop_before(now)]
    if old:
        _swap(run, [(*place, packed[place], None) for place in old], {}, {})


def _swap(run: Run, gone: Sequence[Change], totals: dict[Key, Sum], there: Packed) -> None:
    """Take out what was added up, and put in the totals, with what is there already."""
    changes = list(gone)
    for (minute, length, queue, task), total in totals.items():
        kind, reach = (MINUTES, HOUR) if length == MINUTE else (HOURS, DAY)
        place = (f"{kind}{minute - minute % reach}", f"{minute}/{queue}/{task}")
        before = there.get(place)
        if before is not None:
            total.add(statistics.unpacked(before))
        changes.append((*place, before, total.packed()))
    run("pack", _to_msgpack([(key, field, _text(before), _text(after)) for key, field, before, after in changes]))


def _text(value: bytes | None) -> str | bool:
    """A value as scripts know it: MessagePack's bytes are unknown to Redis, and what is not there is `false` to Lua."""
    return False if value is None else value.decode("ascii", "replace")


def _tell(
    run: Run,
    *,
    minutes: tuple[int, int] | None = None,
    hours: tuple[int, int] | None = None,
    most: int = EVERYTHING,
) -> tuple[float, dict[str, bytes], Packed]:
    """The moment, the cells, and what is packed of minutes and hours that began between so many minutes ago."""
    moment, cells, packed = run("tell", *(minutes or ("", "")), *(hours or ("", "")), most)
    found = {
        (key.decode(), field): value
        for key, fields in zip(packed[::2], packed[1::2], strict=True)
        for field, value in _pairs(fields).items()
    }
    return MOMENT.unpack(moment)[0], _pairs(cells), found


def _pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {field.decode(): value for field, value in zip(flat[::2], flat[1::2], strict=True)}


def _minute(field: str) -> int:
    return int(field.split("/", 1)[0])


def _is_of(field: str, queue: str | None, task: str | None) -> bool:
    _, of_queue, of_task = field.split("/", 2)
    return queue in (None, of_queue) and task in (None, of_task)


def _cells(fields: dict[str, bytes]) -> Iterator[Cell]:
    for field, value in fields.items():
        if not field.endswith("+"):
            minute, way, run, wait, queue, task = field.split("/", 5)
            took = int(fields.get(f"{field}+", 0)) / 1_000_000
            yield int(minute), queue, task, int(way), int(run), int(wait), int(value), took


def _entries(cells: dict[str, bytes], packed: Packed) -> Iterator[Entry]:
    for (key, field), value in packed.items():
        minute, queue, task = field.split("/", 2)
        length = MINUTE if key.startswith(MINUTES) else HOUR
        yield int(minute), length, queue, task, statistics.unpacked(value)
    for place, total in statistics.totals(_cells(cells)).items():
        yield (*place, total)
