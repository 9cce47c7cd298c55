"""The demo itself: enqueue the pictures, watch what happens to them, check it and tell it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from app import Photo, images, jobs, make_contact_sheet
from crew import Crew
from pictures import output_path
from rich.console import Console
from rich.markup import escape
from screen import Screen, screen_on
from story import DemoFailed, Story
from verdict import Check, check_all, check_sheet, print_table
from window import OWNER, Window

from jobsworth import Job, JobsworthError, State

WORKERS = 2
PACE = 0.3  # seconds to linger after each step, so that there is something to see
START_LIMIT = 30  # seconds for the workers to come up
TIME_LIMIT = 240  # seconds; with the pictures that come along it takes about twenty


def play(sources: Sequence[Path], victim: Path, folder: Path, console: Console, window: Window | None = None) -> int:
    """Run the demo in a fresh folder; returns the exit code. A damaged copy of `victim` joins the pictures.

    window: a page on which to show it too, and which then stays until Ctrl-C.
    """
    damaged = damage(victim, folder / "cut short.jpg")
    photos = list(named([*sources[:3], damaged, *sources[3:]], folder / "pictures"))
    console.print(f"[bold]{len(photos)} pictures[/] for {WORKERS} workers with {images.worker_count} slots each\n")
    try:
        with window or nullcontext(), Crew(folder, jobs.url, PACE) as crew:
            with screen_on(console) as screen:
                story = Story(crew, screen)
                by_id = begin(photos, crew, story, screen, window)
                found = story.watch(list(by_id), TIME_LIMIT)
                sheet, shown = make_sheet(found, by_id, folder)
                crew.dismiss()
            checks = check_all(found, by_id, damaged, story)
            checks += [check_sheet(sheet, shown), Check("the workers stopped when asked to", *crew.left_well())]
            print_table(console, found, story)
            tell(checks, folder, sheet, console)
            if window is not None:
                linger(window, crew, console)
        return 0 if all(check.kept for check in checks) else 1
    except (DemoFailed, JobsworthError) as exc:
        console.print(f"[red]The demo failed:[/] {escape(str(exc))}\nEverything is in {folder}", soft_wrap=True)
        return 1
    finally:
        jobs.close()


def begin(photos: Sequence[Photo], crew: Crew, story: Story, screen: Screen, window: Window | None) -> dict[str, Photo]:
    """Hire the workers, enqueue the pictures and show the page; returns the jobs' ids with their pictures."""
    for _ in range(WORKERS):
        crew.hire()
    story.muster(START_LIMIT)
    orders = [images.options(label=photo.source.name, owner=OWNER).new_job(photo) for photo in photos]
    handles = jobs.enqueue_many(orders)
    if window is not None:
        window.open()
        screen.say(f"the same in your browser: {window.url}")
    return {handle.id: photo for handle, photo in zip(handles, photos, strict=True)}


def linger(window: Window, crew: Crew, console: Console) -> None:
    """Keep the page, and a worker for what is dropped there, until Ctrl-C."""
    hand = crew.hire()
    console.print(f"\n[bold]Your turn:[/] drop pictures onto {window.url}  (Ctrl-C ends)", soft_wrap=True)
    with suppress(KeyboardInterrupt):
        hand.process.wait()
        raise DemoFailed(f"{hand.name} ended by itself, see {hand.log}")


def damage(source: Path, target: Path) -> Path:
    """A copy of a picture that stops in the middle, as if the camera's card had been pulled out too early."""
    content = source.read_bytes()
    target.write_bytes(content[: len(content) // 2])
    return target


def named(sources: Sequence[Path], into: Path) -> Iterator[Photo]:
    """One Photo per file; two files of the same name get outputs of different names, on every file system."""
    taken: set[str] = set()
    for source in sources:
        name, number = source.stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{source.stem} {number}"
        taken.add(name.casefold())
        yield Photo(source, name, into)


def make_sheet(found: Sequence[Job], photos: Mapping[str, Photo], folder: Path) -> tuple[Path, int]:
    """Have a worker put all finished pictures on one sheet; returns where it is and how many are on it."""
    done = [photos[job.id] for job in found if job.state is State.COMPLETED]
    thumbs = [(output_path(photo.into, photo.name, "thumb", "jpg"), photo.source.name) for photo in done]
    handle = make_contact_sheet.enqueue(thumbs, folder / "pictures" / "contact-sheet.jpg", f"{len(done)} pictures")
    return handle.result(timeout=60), len(done)


def tell(checks: Sequence[Check], folder: Path, sheet: Path, console: Console) -> None:
    """Say what was promised, whether it was kept, and where everything is."""
    console.print()
    for check in checks:
        sign = "[green]ok[/]  " if check.kept else "[bold red]NO[/]  "
        console.print(sign + escape(check.promise if check.kept else f"{check.promise}: {check.found}"))
    console.print()
    look = f"{Path(sys.executable).with_name('jobsworth')} list --url {shlex.quote(jobs.url)}"
    for what, where in (("Pictures", folder / "pictures"), ("Contact sheet", sheet), ("The jobs", look)):
        console.print(f"{what:<14} {where}", soft_wrap=True, markup=False)
