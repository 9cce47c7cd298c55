"""What is done behind the web app's back: three queues. Nothing in here knows of HTTP, nor of Spikard.

jobsworth worker work:jobs               # in this folder; as many of these as you like, or none: see serving.py
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from jobsworth import CurrentJob, Jobsworth, Keep, Queue, QueueService, Retry

# Where jobs live: JOBSWORTH_URL, else an SQLite file in this folder, made when it is first needed. The secret signs the
# tokens with which people see their own jobs; set JOBSWORTH_SECRET, or they are good until the next start only.
jobs = Jobsworth(secret=os.environ.get("JOBSWORTH_SECRET") or secrets.token_urlsafe(32))

OUTBOX = Path(os.environ.get("OUTBOX", "outbox")).absolute()  # instead of a mail server: a folder of letters
PACE = float(os.environ.get("PACE", "0.3"))  # seconds that a step of the work takes, so that there is something to see


class Uploads(QueueService):
    """Counts the words of a text, tenth by tenth."""

    name = "uploads"
    worker_count = 2  # at once, in each worker process
    max_size = 1000  # texts that may wait; beyond that enqueueing raises QueueFull
    keep = Keep(count=100)  # the newest hundred that were done; those that failed stay until somebody looks at them

    def handle_item(self, item: dict[str, str]) -> dict[str, object]:
        """Safe to run again from the start, as every handler should be."""
        words = item["text"].split()
        longest = ""
        for tenth in range(10):
            self.check_cancelled()  # raises, if somebody asked for this job to stop
            part = words[tenth * len(words) // 10 : (tenth + 1) * len(words) // 10]
            longest = max([longest, *part], key=len)
            time.sleep(PACE)
            self.report_progress(percent=10 * (tenth + 1), message=f"read {(tenth + 1) * len(words) // 10} words")
        return {"file_name": item["file_name"], "words": len(words), "longest": longest}


uploads = jobs.add(Uploads())
jobs.add(Queue("mailers", retry=Retry(max_attempts=5)))  # mail servers have bad days: after 2, 4, 8, 16 s at most


@jobs.task(queue="mailers", timeout=30)
def send_email(job: CurrentJob, to: str, subject: str, text: str) -> str:
    """Put a letter into the outbox. A job that runs twice writes one letter: its name is the job's."""
    OUTBOX.mkdir(parents=True, exist_ok=True)
    letter = OUTBOX / f"{job.id}.txt"
    unfinished = letter.with_suffix(".part")
    unfinished.write_text(f"To: {to}\nSubject: {subject}\n\n{text}\n", encoding="utf-8")
    unfinished.replace(letter)
    return letter.name


@jobs.task(queue="numbers")
async def add_up(job: CurrentJob, numbers: list[float]) -> float:
    """Coroutines are handlers too."""
    total = 0.0
    for place, number in enumerate(numbers, 1):
        total += number
        job.report_progress(current=place, total=len(numbers))
    return total
