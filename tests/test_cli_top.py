"""`jobsworth top`: one frame into a pipe, and the whole screen with its keys on a terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import signal
import struct
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from commandline import APP, COMMAND, clean_environment, run_here, running
from jobsworth import Job, Jobsworth, Progress, State
from jobsworth.cli.board import Picture, View, _share, frame, spark
from jobsworth.cli.keyboard import keys_in
from jobsworth.cli.lookout import Lookout, Loss, Sight
from jobsworth.engine import QueueStatus, WorkerCard
from jobsworth.errors import EngineUnavailable
from jobsworth.job import Failure
from undertaker import dies_with_us
from waiting import until

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
RAGGED = """
from pathlib import Path
from jobsworth import EngineUnavailable, Jobsworth
from jobsworth.engines.sqlite import SqliteEngine


class Ragged(SqliteEngine):
    async def queues(self, names=None, *, brief=False):
        if Path("away").exists():
            raise EngineUnavailable("the disk is away")
        return await super().queues(names, brief=brief)


jobs = Jobsworth(engine=Ragged("jobs.db"))


@jobs.task
def add(a: int, b: int) -> int:
    return a + b
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def enqueue(folder: Path, *words: str) -> str:
    return run_here(folder, "enqueue", *words).out.strip()


# One frame.


def test_one_frame_goes_into_a_pipe_without_a_single_code(folder: Path) -> None:
    waits, other = enqueue(folder, "add", "1", "2"), enqueue(folder, "slow")
    done = run_here(folder, "top", "--once")
    assert done.code == 0
    assert "\x1b" not in done.out
    head, *body = done.out.splitlines()
    assert head.startswith("jobsworth top · sqlite jobsworth.db · ")
    assert head.endswith(" · all queues")
    rows = {line.split()[0]: line.split() for line in body if line.startswith((" default", " slow"))}
    assert rows["default"][1] == rows["slow"][1] == "1"
    assert "WORKER  none is live; start one: jobsworth worker" in body
    assert "RUNNING JOB  none" in body
    assert "NEWEST FAILURE  none" in body
    assert waits != other


def test_one_frame_shows_what_runs_and_what_failed(folder: Path) -> None:
    failed, runs = enqueue(folder, "boom", "x"), enqueue(folder, "slow", "60")
    with running(folder, "worker", "--queues", "default,slow:2"):
        shown = until(
            lambda: next((out for out in [once(folder)] if "working" in out and "ValueError" in out), ""),
            within=30, every=0.2,
        )  # fmt: skip
        [row] = [line for line in shown.splitlines() if runs in line]
        assert row.startswith("● ")
        assert re.search(r"slow +[\d.]+ m?s  [█░]{10} +\d+ % working +1/5", row)
        [row] = [line for line in shown.splitlines() if failed in line]
        assert "ValueError: no x (exhausted)" in row
        [worker] = [line for line in shown.splitlines() if "default:4, slow:2" in line]
        assert " 1/6 " in worker
        run_here(folder, "cancel", runs)


def once(folder: Path, *more: str) -> str:
    return run_here(folder, "top", "--once", *more).out


def test_a_frame_of_one_queue_leaves_out_the_jobs_of_others(folder: Path) -> None:
    enqueue(folder, "add", "1", "2")
    enqueue(folder, "slow")
    shown = once(folder, "--queue", "slow")
    assert " · queue slow" in shown
    assert "▸slow" in shown
    assert 'no worker is listening on "slow"' in shown
    assert 'no worker is listening on "default"' not in shown


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_frame_of_every_engine(folder: Path, kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(kind)
    url = server.new_database() if kind == "postgres" else server.new_namespace()
    enqueue(folder, "add", "1", "2", "--url", url)
    shown = once(folder, "--url", url)
    assert re.search(r"^ default +1 ", shown, re.MULTILINE)
    asked = run_here(folder, "why", run_here(folder, "list", "--json", "--url", url).json[0]["id"], "--url", url)
    assert "no worker is live" in asked.out


def test_without_a_terminal_it_says_what_works_instead(folder: Path) -> None:
    enqueue(folder, "add", "1", "2")
    done = run_here(folder, "top")
    assert done.code == 2
    assert "top needs a terminal" in done.err
    assert "--once" in done.err


@pytest.mark.parametrize("interval", ["0", "0.1", "soon"])
def test_an_interval_that_makes_no_sense_is_refused(folder: Path, interval: str) -> None:
    done = run_here(folder, "top", "--once", "--interval", interval)
    assert done.code == 2
    assert "--interval" in done.err


def test_looking_makes_no_database(folder: Path) -> None:
    assert run_here(folder, "top", "--once").code == 3
    assert not (folder / "jobsworth.db").exists()


# The frame itself.


NOW = 1_700_000_000.0
EVIL = "\x1b[2J\x1b]0;owned\x07\u202e[red]x\n"


def sight(**facts: Any) -> Sight:
    queues = [
        QueueStatus(queue=f"queue-{number}", counts={State.QUEUED: number, State.RUNNING: 1, State.FAILED: 2}, slots=2,
                    workers=1, oldest=5.0, in_rate=7, out_rate=3)
        for number in range(30)
    ]  # fmt: skip
    workers = [
        WorkerCard(id=f"host.{number}.abc", queues={"queue-1": 2}, running=1, rss=10**8, beat=0.5, version="1.2")
        for number in range(12)
    ]
    running_ones = [
        Job(id=f"run-{number}", queue=f"queue-{number % 3}", task="resize", state=State.RUNNING, args=b"",
            started_at=NOW - number, worker="host.1.abc", attempt=1, progress=Progress(number, 40, None, "going"))
        for number in range(40)
    ]  # fmt: skip
    failed = [
        Job(id=f"dead-{number}", queue="queue-1", task="send", state=State.FAILED, args=b"", finished_at=NOW - number,
            failure=Failure("ValueError", "no such address " * 20))
        for number in range(20)
    ]  # fmt: skip
    given = {"at": NOW, "queues": queues, "workers": workers, "running": running_ones, "failed": failed}
    return Sight(**(given | {"whole": True} | facts))


def drawn(the_sight: Sight | None, view: View, width: int, height: int | None, loss: Loss | None = None) -> list[str]:
    picture = Picture("sqlite jobs.db", 2.0, the_sight, loss, {"queue-1": [0, 1, 2, 4]})
    page = io.StringIO()
    console = Console(file=page, width=width, height=height or 1000, color_system=None)
    console.print(frame(picture, view, width, height))
    return page.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 60, 80, 103, 104, 120, 200])
@pytest.mark.parametrize("height", [3, 10, 14, 24, 50])
def test_a_frame_never_needs_more_room_than_there_is(width: int, height: int) -> None:
    lost = Loss(NOW, "the server is away " * 20)
    for view in (View(), View(queue="queue-1"), View(held=True)):
        lines = drawn(sight(), view, width, height, lost)
        assert max(len(line) for line in lines) <= width
        if height >= 14:
            assert len(lines) <= height
            assert "q quit" in lines[-1]


def test_every_section_gets_its_share_and_says_what_is_left_out() -> None:
    lines = drawn(sight(), View(), 120, 30)
    assert len(lines) == 30
    assert sum("more" in line for line in lines) == 4
    assert sum("queue-" in line and "/2" in line for line in lines) >= 3
    few = drawn(sight(queues=[], running=[], failed=[]), View(), 120, 30)
    assert sum("host." in line for line in few) == 12, "what others do not need"


@pytest.mark.parametrize("height", [18, 24, 50])
def test_the_chosen_queue_is_always_among_those_shown(height: int) -> None:
    for number in (0, 3, 17, 29):
        lines = drawn(sight(), View(queue=f"queue-{number}"), 120, height)
        assert sum(line.startswith(f"▸queue-{number} ") for line in lines) == 1
        assert len(lines) <= height


def test_a_worker_that_is_silent_or_older_has_a_sign() -> None:
    cards = [replace(sight().workers[number], **change) for number, change in enumerate([
        {}, {"beat": 40.0}, {"version": "1.1"},
    ])]  # fmt: skip
    for width in (80, 130):
        lines = drawn(sight(workers=cards), View(), width, 60)
        shown = [line for line in lines if "host." in line and "100 MB" in line]
        assert [line.startswith("! ") for line in shown] == [False, True, True]


def test_a_whole_frame_leaves_nothing_out() -> None:
    lines = drawn(sight(), View(), 240, None)
    assert sum(" run-" in line for line in lines) == 40
    assert not any("more" in line for line in lines)


def test_nothing_in_data_can_move_the_cursor_or_set_a_style() -> None:
    evil = Job(id="a", queue=EVIL, task=EVIL, label=EVIL, state=State.RUNNING, args=b"", worker=EVIL, started_at=NOW,
               progress=Progress(1, 2, None, EVIL))  # fmt: skip
    the_sight = sight(
        queues=[QueueStatus(queue=EVIL, unroutable={EVIL: 1})], running=[evil, replace(evil, state=State.CANCELLING,
        cancel_reason=EVIL)], workers=[WorkerCard(id=EVIL, queues={EVIL: 1}, version=EVIL)],
        failed=[replace(evil, state=State.FAILED, failure=Failure(EVIL, EVIL))],
    )  # fmt: skip
    for view in (View(), View(queue=EVIL)):
        shown = "\n".join(drawn(the_sight, view, 240, None, Loss(NOW, EVIL)))
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
        assert "[red]x" in shown, "markup is text"


def test_a_curve_ends_with_the_newest_and_begins_at_nought() -> None:
    assert spark([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert spark([9, 9, 0, 7], 2) == "▁█"
    assert spark([0, 0], 8) == "▁▁"
    assert spark([], 8) == ""


def test_lines_are_shared_fairly() -> None:
    def shares(*needs: int, room: int | None) -> list[int]:
        from jobsworth.cli.board import Section

        return _share([Section(("A",), [[]] * need, "", "") for need in needs], room)

    assert shares(30, 2, 40, 0, room=None) == [30, 2, 40, 0]
    assert shares(30, 2, 40, 0, room=20) == [9, 2, 9, 0]
    assert shares(1, 2, room=20) == [1, 2]
    assert shares(1, 2, room=-3) == [0, 0]


@pytest.mark.parametrize(
    ("data", "keys", "rest"),
    [
        (b"q", ["q"], b""),
        (b"\t\x1b[A\x1b[B\x1bOC\x1b[1;5D\x1b[Z", ["tab", "up", "down", "right", "left", "back"], b""),
        (b"p\x1b", ["p"], b"\x1b"),
        (b"\x1b[", [], b"\x1b["),
        (b"\x1b[1;", [], b"\x1b[1;"),
        (b"\x1bq", ["escape", "q"], b""),
        (b"?\xc3\xa9\x00\r", ["?", "", "", "", "enter"], b""),
    ],
)  # fmt: skip
def test_keys_are_told_from_what_a_terminal_sends(data: bytes, keys: list[str], rest: bytes) -> None:
    found, left = keys_in(data)
    assert [key for key in keys if key] == found
    assert left == rest


# The lookout.


def test_a_lookout_tells_since_when_the_engine_is_away_and_goes_on() -> None:
    jobs = Jobsworth("memory://")
    down = [True]

    async def queues(*_: Any, **__: Any) -> list[QueueStatus]:
        if down[0]:
            raise EngineUnavailable("away")
        return []

    jobs.engine.queues = queues  # type: ignore[method-assign]
    looks: list[Loss | None] = []
    lookout = Lookout(jobs, 0.01, lambda: looks.append(lookout.loss))
    lookout.start()
    try:
        until(lambda: len(looks) >= 3)
        assert looks[0] is not None
        assert {loss.since for loss in looks[:3] if loss} == {looks[0].since}
        down[0] = False
        until(lambda: lookout.sight is not None and lookout.loss is None)
    finally:
        lookout.stop()


def test_a_mistake_of_ours_ends_the_lookout_and_is_not_taken_for_an_outage() -> None:
    jobs = Jobsworth("memory://")

    async def queues(*_: Any, **__: Any) -> list[QueueStatus]:
        raise ZeroDivisionError

    jobs.engine.queues = queues  # type: ignore[method-assign]
    told = threading.Event()
    lookout = Lookout(jobs, 0.01, told.set)
    lookout.start()
    assert told.wait(10)
    lookout.stop()
    assert isinstance(lookout.mistake, ZeroDivisionError)
    assert lookout.loss is None


# On a terminal.


class Terminal:
    """`jobsworth top` on a terminal of its own, as a person sees it."""

    def __init__(self, folder: Path, *arguments: str, columns: int = 130, lines: int = 32) -> None:
        self.data = ""
        # Opened here, so that the window has its size before the command looks at it.
        self.terminal, inner = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(inner)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.terminal)
                os.login_tty(inner)
                os.chdir(folder)
                environment = clean_environment(TERM="xterm-256color")
                for fixed in ("COLUMNS", "LINES"):  # they would go before the window's own size
                    environment.pop(fixed, None)
                os.execve(COMMAND[0], [*COMMAND, "top", *arguments], environment)
            finally:
                os._exit(127)
        dies_with_us(self.pid)
        self._inner = inner
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.code: int | None = None

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the terminal has been closed
            while part := os.read(self.terminal, 65536):
                self.data += part.decode(errors="replace")

    @property
    def frame(self) -> list[str]:
        """The newest frame's lines."""
        newest = self.data.rsplit("\x1b[H", 1)[-1]
        return [line.rstrip() for line in CODES.sub("", newest).splitlines()]

    def shows(self, words: str, within: float = 30) -> str:
        """The first line that has these words, once there is one."""
        return until(
            lambda: next((line for line in self.frame if words in line), ""), within, f"{words!r} on the screen"
        )

    def hides(self, words: str) -> None:
        until(lambda: len(self.frame) > 3 and not any(words in line for line in self.frame), 30, f"no {words!r}")

    def row(self, queue: str) -> list[str]:
        """The words in a queue's line, once there is one."""
        line = re.compile(rf"[ ▸]{queue} ")
        return until(
            lambda: next((each for each in self.frame if line.match(each)), ""), 30, f"a line of {queue}"
        ).split()

    def press(self, keys: str) -> None:
        os.write(self.terminal, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    @property
    def as_before(self) -> bool:
        """True if the terminal is as it was: its modes, its cursor, its screen."""
        modes = termios.tcgetattr(self._inner) == self.before
        return modes and self.data.rfind("\x1b[?1049l") > self.data.rfind("\x1b[?1049h") and (
            self.data.rfind("\x1b[?25h") > self.data.rfind("\x1b[?25l")
        )  # fmt: skip

    def ends(self) -> int:
        """Its exit code, once it has ended."""

        def ended() -> bool:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            return bool(pid)

        if self.code is None:
            until(ended, 30, "the command's end")
        assert self.code is not None
        return self.code

    def close(self) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._inner)
        self._reader.join(10)
        os.close(self.terminal)


@pytest.fixture
def open_top(folder: Path) -> Iterator[Any]:
    opened: list[Terminal] = []

    def begin(*arguments: str, **size: int) -> Terminal:
        opened.append(Terminal(folder, "--interval", "0.3", *arguments, **size))
        return opened[-1]

    yield begin
    for each in opened:
        each.close()


def test_q_leaves_and_gives_the_terminal_back(folder: Path, open_top: Any) -> None:
    enqueue(folder, "add", "1", "2")
    top = open_top()
    assert "WAITING" in top.shows("QUEUE")
    assert not top.as_before
    top.press("q")
    assert top.ends() == 0
    until(lambda: top.as_before, what="the terminal as it was")


@pytest.mark.parametrize(("how", "code"), [("\x03", 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_however_it_is_ended_the_terminal_is_given_back(
    folder: Path, open_top: Any, how: str | signal.Signals, code: int
) -> None:
    enqueue(folder, "add", "1", "2")
    top = open_top()
    top.shows("default")
    if isinstance(how, str):
        top.press(how)
    else:
        os.kill(top.pid, how)
    assert top.ends() == code
    until(lambda: top.as_before, what="the terminal as it was")


def test_what_changes_is_shown(folder: Path, open_top: Any) -> None:
    enqueue(folder, "add", "1", "2")
    top = open_top()
    assert top.row("default")[1] == "1"
    enqueue(folder, "add", "1", "2")
    until(lambda: top.row("default")[1] == "2", 30)
    until(lambda: top.row("default")[2].endswith("▅█"), 30, "a curve that rises")


def test_keys_go_from_queue_to_queue_and_back_to_all(folder: Path, open_top: Any) -> None:
    enqueue(folder, "add", "1", "2")
    enqueue(folder, "slow")
    top = open_top()
    top.shows("all queues")
    top.row("slow")  # before anything was seen there is no queue to go to
    for keys, words in (
        ("\t", "queue default"), ("\x1b[B", "queue slow"), ("\x1b[B", "all queues"), ("\x1b[A", "queue slow"),
        ("\x1b[A", "queue default"), ("\x1b", "all queues"),
    ):  # fmt: skip
        top.press(keys)
        assert top.shows(f"· {words}").startswith("jobsworth top")


def test_the_picture_can_be_held_and_let_go(folder: Path, open_top: Any) -> None:
    enqueue(folder, "add", "1", "2")
    top = open_top()
    top.shows("default")
    top.press("p")
    top.shows("picture held")
    enqueue(folder, "slow")
    frames = top.data.count("\x1b[H")
    until(lambda: top.data.count("\x1b[H") > frames + 2, 30, "two more frames")
    assert not any("slow" in line for line in top.frame)
    top.press("p")
    top.shows("slow")
    top.hides("picture held")


def test_help_comes_with_a_key_and_goes_with_any(folder: Path, open_top: Any) -> None:
    enqueue(folder, "add", "1", "2")
    top = open_top()
    top.shows("default")
    top.press("?")
    top.shows("the queue before")
    top.press("x")
    top.hides("the queue before")
    top.shows("default")


def test_a_resized_window_is_filled_anew(folder: Path, open_top: Any) -> None:
    enqueue(folder, "add", "1", "2")
    top = open_top()
    top.shows("SCHEDULED")
    top.resize(70, 16)
    top.hides("SCHEDULED")
    until(lambda: len(top.frame) == 16, 30, "sixteen lines")
    assert max(map(len, top.frame)) <= 70
    top.shows("q quit")
    top.resize(150, 40)
    top.shows("SCHEDULED")


def test_a_lost_engine_is_said_and_what_was_seen_stays_until_it_is_back(folder: Path, open_top: Any) -> None:
    (folder / "app.py").write_text(RAGGED)
    enqueue(folder, "add", "1", "2")
    top = open_top()
    top.shows("default")
    (folder / "away").touch()
    assert "the disk is away; this is what was seen last" in top.shows("engine lost")
    assert top.row("default")[1] == "1"
    (folder / "away").unlink()
    enqueue(folder, "add", "1", "2")
    top.hides("engine lost")
    until(lambda: top.row("default")[1] == "2", 30)
    top.press("q")
    assert top.ends() == 0


def test_a_suspended_one_gives_the_terminal_back_and_draws_anew_when_it_goes_on(folder: Path, open_top: Any) -> None:
    enqueue(folder, "add", "1", "2")
    top = open_top()
    top.shows("default")
    top.press("\x1a")
    _, status = os.waitpid(top.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    until(lambda: top.as_before, what="the terminal as it was")
    os.kill(top.pid, signal.SIGCONT)
    until(lambda: not top.as_before, what="the screen again")
    top.shows("default")
    top.press("q")
    assert top.ends() == 0
    until(lambda: top.as_before, what="the terminal as it was")
