"""A photo service in one file: a queue of pictures, and a task that puts them on one sheet.

    jobsworth worker app:jobs                # in this folder; as many of these as you like
    images.enqueue(Photo(Path.home() / "holiday.jpg", "holiday", Path.home() / "small"))      # from your web app

What is done to a picture is in pictures.py, which knows nothing of jobs; this file says how that work is queued.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pictures

from jobsworth import GiveUp, Jobsworth, Queue, QueueService, Retry

jobs = Jobsworth()  # JOBSWORTH_URL, else an SQLite file in this folder, made when it is first needed

# Pictures this small are done in the blink of an eye. The demo sets this variable so that there is something to see:
# seconds to linger after each step. Without it no time is wasted.
PACE = float(os.environ.get("PHOTOS_PACE", "0"))


@dataclass(frozen=True)
class Photo:
    """What a job is about. It arrives in the handler as it was enqueued: same type, checked fields."""

    source: Path  # the file to read; absolute, as the worker may run in another folder
    name: str  # what its outputs are called
    into: Path  # the folder they go to


class ImageQueue(QueueService):
    """Every picture in three sizes, as WebP and as JPEG."""

    name = "image_processing"
    worker_count = 4  # at once, in each worker process
    timeout = 60  # seconds for one attempt
    max_size = 1000  # pictures that may wait; then enqueueing raises QueueFull
    retry = Retry(max_attempts=5)  # anything may fail once, a full disk for example

    def handle_item(self, item: Photo) -> list[Path]:
        """Make the outputs, one by one. Safe to run again from the start: the same files get the same content."""
        total = 1 + len(pictures.SIZES) * len(pictures.ENCODERS)
        self.report_progress(current=0, total=total, message="opening")
        try:
            picture = pictures.load(item.source)
        except pictures.PictureError as exc:  # a damaged file stays damaged
            raise GiveUp(str(exc)) from exc  # these words reach the person whose picture it is; others stay with us
        made: list[Path] = []
        for size, longest in pictures.SIZES.items():
            small = pictures.shrink(picture, longest)
            for form, encode in pictures.ENCODERS.items():
                self.report_progress(current=1 + len(made), total=total, message=f"{size} {form}")
                self.check_cancelled()  # raises, if somebody asked for this job to stop
                path = pictures.output_path(item.into, item.name, size, form)
                made.append(pictures.write(path, encode(small)))
                time.sleep(PACE)
        self.report_progress(current=total, total=total, message="done")
        return made


images = jobs.add(ImageQueue())
sheets = jobs.add(Queue("contact_sheets", worker_count=1))


@jobs.task(queue=sheets, timeout=60)
def make_contact_sheet(thumbs: list[tuple[Path, str]], path: Path, title: str) -> Path:
    """Put thumbnails, given as (file, caption), on one sheet; returns where it is."""
    return pictures.write(path, pictures.as_jpeg(pictures.contact_sheet(thumbs, title=title)))
