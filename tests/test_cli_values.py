"""From words to arguments and options, and from numbers to words."""

from __future__ import annotations

import dataclasses
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jobsworth import CurrentJob, Jobsworth, QueueService
from jobsworth.cli import text
from jobsworth.cli.status import advice, drains, missing_slots
from jobsworth.cli.terminal import json_text
from jobsworth.cli.values import call_from, meta_from, moment_from, seconds_from
from jobsworth.codec import decode
from jobsworth.engine import QueueStatus
from jobsworth.errors import BadArguments, BadOption
from jobsworth.job import State
from jobsworth.task import Task


@dataclasses.dataclass
class Size:
    width: int
    height: int


def task_of(fn: Any) -> Task[..., Any]:
    return Jobsworth("memory://").task(fn)


def sent(fn: Any, *words: str, args: str | None = None) -> Any:
    """What would be stored for these words."""
    task = task_of(fn)
    positional, named = call_from(task, words, args)
    return decode(task.build(positional, named, _none()).args)


def _none() -> Any:
    from jobsworth.task import NONE

    return NONE


def plain(a, b=None): ...  # type: ignore[no-untyped-def]


def typed(name: str, count: int = 1, ratio: float = 1.0, on: bool = False, maybe: str | None = None) -> None: ...


def rich(job: CurrentJob, when: datetime, price: Decimal, key: uuid.UUID, size: Size, path: Path) -> None: ...


def starred(first: int, *rest: int, flag: bool = False, **more: float) -> None: ...


@pytest.mark.parametrize(
    ("fn", "words", "stored"),
    [
        (plain, ["1"], {"a": 1}),
        (plain, ["hello"], {"a": "hello"}),
        (plain, ['{"x": [1]}', "null"], {"a": {"x": [1]}, "b": None}),
        (plain, ["True", "b=None"], {"a": True, "b": None}),
        (plain, ["a=b=c"], {"a": "b=c"}),
        (plain, ["https://example.org/?q=1"], {"a": "https://example.org/?q=1"}),
        (typed, ["1"], {"name": "1"}),
        (typed, ['"quoted"', "2", "3", "true"], {"name": '"quoted"', "count": 2, "ratio": 3.0, "on": True}),
        (typed, ["null", "maybe=null"], {"name": "null", "maybe": None}),
        (typed, ["x", "maybe=1"], {"name": "x", "maybe": "1"}),
        (typed, ["x", "on=True"], {"name": "x", "on": True}),
        (
            starred,
            ["1", "2", "3", "flag=true", "x=1.5"],
            {"first": 1, "*rest": [2, 3], "flag": True, "**more": {"x": 1.5}},
        ),
    ],
)
def test_words_become_what_the_signature_asks_for(fn: Any, words: list[str], stored: dict[str, Any]) -> None:
    assert sent(fn, *words) == stored


def test_words_become_rich_types_where_they_are_annotated() -> None:
    key = str(uuid.uuid4())
    stored = sent(rich, "2026-01-31T08:00:00Z", "0.10", key, '{"width": 3, "height": 4}', "a/b.png")
    assert stored == {
        "when": "2026-01-31T08:00:00Z", "price": "0.10", "key": key, "size": {"width": 3, "height": 4},
        "path": "a/b.png",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("args", "stored"),
    [
        ("[1, 2]", {"a": 1, "b": 2}),
        ('{"b": 2, "a": 1}', {"a": 1, "b": 2}),
        ('"text"', {"a": "text"}),
    ],
)
def test_a_document_holds_arguments_by_name_or_by_position(args: str, stored: dict[str, Any]) -> None:
    assert sent(plain, args=args) == stored


def test_a_document_as_show_prints_it_can_be_sent_again() -> None:
    stored = {"first": 1, "*rest": [2, 3], "flag": True, "**more": {"x": 1.5}}
    assert sent(starred, args=json_text(stored)) == stored


def test_a_document_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "args.json").write_text('{"a": "ü"}', encoding="utf-8")
    assert sent(plain, args=f"@{tmp_path / 'args.json'}") == {"a": "ü"}
    with pytest.raises(BadArguments, match="cannot read"):
        sent(plain, args="@/nowhere.json")


class Images(QueueService):
    name = "images"

    def handle_item(self, item: Any) -> None: ...


@pytest.mark.parametrize(
    ("words", "args", "item"),
    [
        (["file_path=a.png", "width=3"], None, {"file_path": "a.png", "width": 3}),
        (["a.png"], None, "a.png"),
        (["item=5"], None, 5),
        ([], '{"file_path": "a.png"}', {"file_path": "a.png"}),
        ([], '{"item": {"file_path": "a.png"}}', {"file_path": "a.png"}),
        ([], "[1, 2]", [1, 2]),
    ],
)
def test_a_queue_with_one_task_takes_its_item(words: list[str], args: str | None, item: Any) -> None:
    jobs = Jobsworth("memory://")
    task = jobs.add(Images()).task
    assert call_from(task, words, args) in (((item,), {}), ((), {"item": item}))


@pytest.mark.parametrize("words", [["x", "y=1", "y=2"], ["a=1", "a=1"]])
def test_an_argument_given_twice_is_refused(words: list[str]) -> None:
    with pytest.raises(BadArguments, match="given twice"):
        sent(plain, *words)


@pytest.mark.parametrize(
    ("typed_text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d12h", 129_600), ("1h30m5s", 5405), ("0", 0)],
)
def test_times_are_written_as_people_write_them(typed_text: str, seconds: float) -> None:
    assert seconds_from(typed_text, "--delay") == seconds


@pytest.mark.parametrize("bad", ["", "soon", "-5", "5 minutes", "1m1h", "nan", "inf"])
def test_what_is_no_time_is_refused(bad: str) -> None:
    with pytest.raises(BadOption, match="--delay"):
        seconds_from(bad, "--delay")


def test_a_moment_has_a_zone_or_is_local() -> None:
    assert moment_from("2026-01-31T08:00Z", "--run-at") == datetime(2026, 1, 31, 8, tzinfo=UTC)
    local = moment_from("2026-01-31T08:00", "--run-at")
    assert local is not None
    assert local.utcoffset() is not None
    with pytest.raises(BadOption, match="--run-at"):
        moment_from("tomorrow", "--run-at")


def test_meta_is_pairs_or_an_object() -> None:
    assert meta_from(["a=1", '{"b": "x"}', "c=text"]) == {"a": 1, "b": "x", "c": "text"}
    with pytest.raises(BadOption):
        meta_from(["[1]"])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0004, "0 ms"), (0.012, "12 ms"), (1, "1 s"), (3.21, "3.2 s"), (41, "41 s"), (840, "14 m"), (8040, "2 h 14 m"),
     (7200, "2 h"), (273_600, "3 d 4 h"), (None, "-")],
)  # fmt: skip
def test_durations_are_short(seconds: float | None, words: str) -> None:
    assert text.duration(seconds) == words


def test_tables_align_wide_letters() -> None:
    lines = text.table(("NAME", "N"), [("日本", "1"), ("ab", "22")], right=".r")
    assert [text.width(line) for line in lines] == [8, 8, 8]


def test_json_keeps_letters_and_escapes_what_moves_a_cursor() -> None:
    assert json_text({"ü": "日\x9b\u202e\U000e0001\n"}) == '{"ü": "日\\u009b\\u202e\\udb40\\udc01\\n"}'


TRACEBACK = """Traceback (most recent call last):
  File "/x/site-packages/jobsworth/runners/thread.py", line 32, in _run
    value = task.fn(*args, **kwargs)
            ^^^^^^^^^^^^^^^^^^^^^^^^
  File "/srv/shop/reports.py", line 41, in fetch
    get(url)
  File "/x/site-packages/requests/api.py", line 73, in get
    raise Timeout
requests.Timeout: api \x1b[31m
"""


def test_a_traceback_shows_the_users_frames_and_names_the_nearest() -> None:
    shown = text.user_traceback(TRACEBACK)
    assert not any("runners" in line or "task.fn" in line for line in shown)
    assert "    get(url)" in shown
    assert shown[-1] == "requests.Timeout: api \\x1b[31m"
    assert text.user_frame(TRACEBACK) == "/srv/shop/reports.py:41 in fetch"
    assert text.user_frame(None) is None


def status(waiting: int, running: int, slots: int, coming: int, going: int, *, paused: bool = False) -> QueueStatus:
    counts = {State.QUEUED: waiting, State.RUNNING: running}
    return QueueStatus(queue="q", counts=counts, slots=slots, in_rate=coming, out_rate=going, workers=1, paused=paused)


def test_a_queue_that_grows_never_drains_and_is_told_how_many_slots_it_lacks() -> None:
    growing = status(12_480, 2, 2, 410, 200)
    assert drains(growing) == "never"
    # 2 slots end 100 a minute each; 410 come in, and 12,480 within an hour are 208 a minute more.
    assert missing_slots(growing) == 5
    assert advice(growing) == "▲ add ~5 slots"


def test_a_queue_that_keeps_up_needs_nothing() -> None:
    assert drains(status(12, 4, 16, 310, 305)) == "now"
    assert advice(status(12, 4, 16, 310, 305)) == ""
    assert drains(status(600, 8, 8, 100, 400)) == "in 2 m"
    assert advice(status(600, 8, 8, 100, 400)) == ""
    assert drains(status(0, 0, 0, 0, 0)) == "now"


def test_a_queue_that_cannot_drain_says_why() -> None:
    assert (drains(status(5, 0, 0, 5, 0)), advice(status(5, 0, 0, 5, 0))) == ("never", "▲ no worker is listening")
    stopped = status(5, 0, 4, 5, 5, paused=True)
    assert (drains(stopped), advice(stopped)) == ("never", "‖ paused")
    assert drains(status(50, 4, 4, 50, 0)) == "?", "its first jobs may simply be long"
