"""Take the dashboard's pictures: every screen, light and dark, into docs/img. Needs Chromium, as the browser tests do.

PYTHONPATH=src python scripts/screens.py
"""

from __future__ import annotations

import io
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
from PIL import Image  # noqa: E402
from stage import Stage  # noqa: E402

from jobsworth.job import Attempt, Failure, Job, State  # noqa: E402
from undertaker import Undertaker  # noqa: E402

TO = ROOT / "docs" / "img"
SIZE = {"width": 1200, "height": 800}
COLOURS, MOST_BYTES = 64, 80_000
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
    for number, (percent, said) in enumerate(UNDER_WAY):
        options = {"label": f"import-{number + 1}.csv", "owner": f"user:{number}", "tags": ["import"]}
        running = floor.steps(f"progress {percent} {said}", **options)
    floor.jobs.pause("mail")
    for name in PEOPLE:
        floor.enqueue("send", f"{name}@example.org", copies=2, options={"owner": "user:7", "tags": ["newsletter"]})
        floor.enqueue("send", f"{name}@example.org", options={"delay": 3_600})
    dead = next(each for each in everything if each.state is State.FAILED)
    return {
        "overview": "#/", "jobs": "#/jobs", "job": f"#/jobs/{dead.id}", "running": f"#/jobs/{running.id}",
        "queues": "#/queues", "workers": "#/workers", "dead": "#/dead", "tasks": "#/tasks", "task": "#/tasks/send",
    }  # fmt: skip


def take(operator: Operator, name: str, place: str) -> None:
    page = operator.visit(place)
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
                take(operator, f"dashboard-{name}-{scheme}", place)
            operator.close()
        floor.clear()
        floor.close()
        stage.close()
    undertaker.dismiss()


if __name__ == "__main__":
    main()
