"""Take the dashboard's pictures: every screen, light and dark, into docs/img. Needs Chromium, as the browser tests do.

PYTHONPATH=src python scripts/screens.py
"""

from __future__ import annotations

import io
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "browser")]

from floor import Floor, Operator, is_live  # noqa: E402
from past import Stood, Was, remember  # noqa: E402
from PIL import Image  # noqa: E402
from stage import Stage  # noqa: E402

from jobsworth.job import Attempt, Failure, Job, State  # noqa: E402
from undertaker import Undertaker  # noqa: E402

TO = ROOT / "docs" / "img"
SIZE = {"width": 1200, "height": 800}
PHONE = {"width": 390, "height": 844}
HIGH = {"overview": 1180, "running": 1180, "queue": 1180, "task": 1180}  # pages of which more is shown
COLOURS, MOST_BYTES = 256, 120_000
TRACE = """Traceback (most recent call last):
  File "shop/{file}", line {line}, in {function}
    {function}(letter)
{error}
"""
WRONG = (
    ("deliver", 9, "letters.py", 41, "post", "OSError", "[Errno 111] Connection refused: smtp.example:25"),
    ("send", 3, "letters.py", 88, "render", "KeyError", "'first_name'"),
    ("deliver", 1, "addresses.py", 12, "find_house", "ValueError", "no number in 'Mill Lane'"),
)
UNDER_WAY = ((64, "Reading row 6,400 of 10,000"), (22, "Loading pictures"), (41, "Reading row 4,100 of 10,000"))
LOG = (
    "INFO import-3.csv has 10,000 rows",
    "INFO Row 1,000: 998 new, 2 known",
    "WARNING Row 1,204 has no street; kept as it is",
    "INFO Row 2,000: 1,995 new, 5 known",
    "INFO Row 3,000: 2,991 new, 9 known",
    "ERROR Row 3,310: 'Mill Lane' has no number",
    "INFO Row 4,000: 3,987 new, 12 known",
)
PEOPLE = ("ada", "grace", "alan", "edsger", "barbara", "donald", "katherine", "tony")


def past(now: float) -> Iterator[Job]:
    """What happened before: done and given up jobs."""
    for number in range(240):
        began = now - 3_500 + number * 14
        ended = began + 0.2 + number % 7 / 10
        name = PEOPLE[number % len(PEOPLE)]
        yield job(
            number, State.COMPLETED, began, ended, "send", {"to": f"{name}@example.org", "copies": 1 + number % 3},
            result=msgspec.json.encode({"to": name, "copies": 1}), tags=("newsletter",) if number % 3 else (),
            attempts=(Attempt(1, "w1", began, ended, "succeeded"),),
        )  # fmt: skip
    number = 1000
    for task, many, file, line, function, kind, message in WRONG:
        for _ in range(many):
            number += 1
            yield given_up(number, now - 3_000 + (number - 1000) * 190, task, file, line, function, kind, message)


def an_hour(floor: Floor) -> None:
    """What the charts show: a wave of mail, with a spell in which no worker was there, and a few imports."""
    runs, levels = [], []
    for ago in range(1, 60):
        if 24 <= ago < 31:
            continue
        wave = 1 + math.sin(ago / 6)
        many = 14 + round(9 * wave) + ago % 3
        runs.append(Was(ago, completed=many, retried=ago % 4 == 0, failed=2 * (ago % 9 == 0), run=0.3, wait=0.02))
        runs.append(Was(ago, task="deliver", completed=3, run=1.4, wait=0.2 + 0.4 * wave))
        runs.append(Was(ago, "steps", "steps", completed=ago % 5 == 0, run=140.0, wait=0.02))
        came = many + 3 + round(4 * math.cos(ago / 5))
        levels.append(Stood(ago, came=came, waiting=round(6 * wave), oldest=2 * wave))
        levels.append(Stood(ago, "steps", came=ago % 5 == 1))
    remember(floor, runs, levels)


def given_up(number: int, began: float, task: str, file: str, line: int, function: str, kind: str, message: str) -> Job:
    trace = TRACE.format(file=file, line=line, function=function, error=f"{kind}: {message}")
    failure = Failure(kind, message, "exhausted", trace)
    tries = tuple(
        Attempt(each, "w1", began + each * 20, began + each * 20 + 1.4, "failed", failure) for each in (1, 2, 3)
    )
    args = {"to": "ada@example.org"} if task == "send" else {"address": "Mill Lane"}
    return job(
        number, State.FAILED, began, began + 62, task, args,
        failure=failure, attempts=tries, max_attempts=3, tags=("invoice",),
    )  # fmt: skip


def job(number: int, state: State, began: float, ended: float, task: str, args: Any, **more: Any) -> Job:
    return Job(
        id=f"019ab3f1c2d4{number:016d}", queue="mail", task=task, state=state, args=msgspec.json.encode(args),
        attempt=len(more["attempts"]), created_at=began - 1, updated_at=ended, started_at=began, finished_at=ended,
        owner=f"user:{number % 9}", worker="w1", version=4, **more,
    )  # fmt: skip


def furnish(floor: Floor) -> dict[str, str]:
    """A shop floor in the middle of a day; the places to take pictures of, by name."""
    now = time.time()
    everything = list(past(now))
    floor.jobs.bridge.call(lambda engine: engine.adopt(everything))
    an_hour(floor)
    for number, (percent, said) in enumerate(UNDER_WAY):
        options = {"label": f"import-{number + 1}.csv", "owner": f"user:{number}", "tags": ["import"]}
        running = floor.steps(*(f"log {line}" for line in LOG), f"progress {percent} {said}", **options)
    floor.jobs.pause("mail")
    for name in PEOPLE:
        floor.enqueue("send", f"{name}@example.org", copies=2, options={"owner": "user:7", "tags": ["newsletter"]})
        floor.enqueue("send", f"{name}@example.org", options={"delay": 3_600})
    dead = next(each for each in everything if each.state is State.FAILED)
    return {
        "overview": "#/", "jobs": "#/jobs", "job": f"#/jobs/{dead.id}", "running": f"#/jobs/{running.id}",
        "queues": "#/queues", "queue": "#/queues/mail", "workers": "#/workers", "dead": "#/dead", "tasks": "#/tasks",
        "task": "#/tasks/send",
    }  # fmt: skip


def take(operator: Operator, name: str, place: str, size: Any) -> None:
    page = operator.visit(place)
    page.set_viewport_size(size)
    page.locator("h1").wait_for()
    is_live(page)
    page.wait_for_timeout(1_200)  # what the stream tells at first
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture = picture.quantize(COLOURS, dither=Image.Dither.NONE)
    path = TO / f"{name}.png"
    picture.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{path.name} has {path.stat().st_size} bytes, more than {MOST_BYTES}")
    page.close()


def main() -> None:
    TO.mkdir(parents=True, exist_ok=True)
    undertaker = Undertaker()
    with tempfile.TemporaryDirectory() as folder:
        floor = Floor(undertaker, Path(folder))
        stage = Stage()
        floor.start()
        places = furnish(floor)
        for scheme in ("light", "dark"):
            operator = Operator(stage.browser, floor.server.url, viewport=SIZE, color_scheme=scheme)
            for name, place in places.items():
                take(operator, f"dashboard-{name}-{scheme}", place, {**SIZE, "height": HIGH.get(name, SIZE["height"])})
                if name in ("overview", "jobs", "running"):
                    take(operator, f"dashboard-{name}-phone-{scheme}", place, PHONE)
            operator.close()
        floor.clear()
        floor.close()
        stage.close()
    undertaker.dismiss()


if __name__ == "__main__":
    main()
