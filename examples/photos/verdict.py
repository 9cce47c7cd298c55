"""Did everything happen that was promised? Looks at the store and at the files, not at what the demo meant to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pictures
from app import Photo, jobs
from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from screen import STYLES
from story import Story

from jobsworth import Job, State
from jobsworth.job import Attempt

OUTPUTS = list(product(pictures.SIZES, pictures.ENCODERS))


@dataclass(frozen=True)
class Check:
    """One promise, whether it was kept, and if not, what was found instead."""

    promise: str
    kept: bool
    found: str = ""


def check_all(found: Sequence[Job], photos: Mapping[str, Photo], damaged: Path, story: Story) -> list[Check]:
    """Check every promise about the pictures' jobs. `damaged` is the file that is no picture any more."""
    by_id = {job.id: job for job in found}
    broken = next(job_id for job_id, photo in photos.items() if photo.source == damaged)
    return [
        _check_outputs(found, photos),
        _check_dead_letter(by_id[broken]),
        _check_others_whole(found, broken, story),
        _check_cancelled(by_id.get(story.cancelled or ""), photos),
        _check_bereaved(by_id.get(story.bereaved or ""), story),
    ]


def check_sheet(path: Path, count: int) -> Check:
    """The contact sheet can be opened and is large enough for all thumbnails."""
    with Image.open(path) as sheet:
        sheet.load()
        room = sheet.width * sheet.height
    kept = sheet.format == "JPEG" and room >= count * pictures.SIZES["thumb"] ** 2
    return Check(f"the contact sheet shows {count} pictures", kept, f"{sheet.format} {sheet.size}")


def _check_outputs(found: Sequence[Job], photos: Mapping[str, Photo]) -> Check:
    """Every completed job's files are there, open, and have the sizes they should have."""
    wrong, files = [], 0
    done = [job for job in found if job.state is State.COMPLETED]
    for job in done:
        with Image.open(photos[job.id].source) as source:
            longest = max(source.size)
        for size, form in OUTPUTS:
            path = pictures.output_path(photos[job.id].into, photos[job.id].name, size, form)
            files += 1
            if _longest_side(path) != min(longest, pictures.SIZES[size]):
                wrong.append(f"{size}/{path.name}")
    return Check(
        f"{len(done)} pictures were made into {files} files, and every one opens in the right size",
        bool(done) and not wrong,
        "wrong: " + ", ".join(wrong),
    )


def _longest_side(path: Path) -> int:
    if not path.is_file():
        return 0
    with Image.open(path) as picture:
        picture.load()
        return max(picture.size)


def _check_dead_letter(job: Job) -> Check:
    letters = {each.id for each in jobs.dead_letters().list(limit=None)}
    why = job.failure.message if job.failure else ""
    kept = job.state is State.FAILED and job.id in letters and "is damaged" in why and len(job.attempts) == 1
    return Check("the damaged file is a dead letter after one attempt, with a reason one can read", kept, _told(job))


def _check_others_whole(found: Sequence[Job], broken: str, story: Story) -> Check:
    """Nothing else went wrong, except what a person's own folder brings along: files that are no pictures."""
    wrong = []
    for job in found:
        if job.id in (broken, story.cancelled) or job.state is State.COMPLETED:
            continue
        if job.state is not State.FAILED or job.failure is None or job.failure.reason != "gave_up":
            wrong.append(_told(job))
    return Check("every other job ended well, and none was lost", not wrong, "; ".join(wrong))


def _check_cancelled(job: Job | None, photos: Mapping[str, Photo]) -> Check:
    promise = "one job was cancelled halfway and stopped there"
    if job is None or job.progress is None:
        return Check(promise, kept=False, found="no job was caught halfway")
    photo, (size, form) = photos[job.id], OUTPUTS[-1]
    unmade = not pictures.output_path(photo.into, photo.name, size, form).exists()
    halfway = 0 < (job.progress.current or 0) < (job.progress.total or 0)
    return Check(promise, job.state is State.CANCELLED and halfway and unmade, _told(job))


def _check_bereaved(job: Job | None, story: Story) -> Check:
    promise = "the job whose worker was killed was finished by another worker"
    if job is None or story.killed is None:
        return Check(promise, kept=False, found="no worker was caught halfway")
    outcomes = [attempt.outcome for attempt in job.attempts]
    workers = [story.worker_of(attempt.worker) for attempt in job.attempts]
    kept = (
        story.killed.process.returncode == -9
        and job.state is State.COMPLETED
        and outcomes == ["lost", "succeeded"]
        and workers[0] == story.killed.name != workers[1]
    )
    return Check(promise, kept, f"{_told(job)}: {list(zip(workers, outcomes, strict=True))}")


def _told(job: Job) -> str:
    why = f" ({job.failure.message})" if job.failure else ""
    return f"{job.label} is {job.state.value} at attempt {job.attempt}{why}"


def print_table(console: Console, found: Sequence[Job], story: Story) -> None:
    """What happened, job by job."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Picture", max_width=20, overflow="ellipsis", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Attempts", justify="right", no_wrap=True)
    table.add_column("Worker", no_wrap=True)
    table.add_column("Time", justify="right", no_wrap=True)
    table.add_column("Outcome", overflow="fold")
    for job in found:
        seconds = sum(
            each.finished_at - each.started_at for each in job.attempts if each.finished_at and each.started_at
        )
        table.add_row(
            Text(job.label or job.id),
            Text(job.state.value, STYLES.get(job.state.value, "")),
            str(len(job.attempts)),
            Text(" → ".join(_by_whom(attempt, story) for attempt in job.attempts)),
            f"{seconds:.1f} s",
            Text(_outcome(job)),
        )
    console.print("\n[bold]What happened[/]")
    console.print(table)


def _by_whom(attempt: Attempt, story: Story) -> str:
    number = story.worker_of(attempt.worker).removeprefix("worker-")
    return f"{number} lost" if attempt.outcome == "lost" else number


def _outcome(job: Job) -> str:
    if job.state is State.COMPLETED:
        files = [Path(path) for path in jobs.handle(job.id).result(timeout=0)]
        return f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1000:.0f} kB"
    why = job.failure.message if job.failure else ""
    if job.state is State.CANCELLED and job.progress:
        return f"{why} ({job.progress.current:.0f} of {job.progress.total:.0f} steps)"
    return f"dead letter: {why}"
