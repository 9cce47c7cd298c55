"""What runs in the background. Jobsworth finds this file by its name, as Django finds models.py."""

from __future__ import annotations

import os
import re
import time
from collections import Counter

from jobsworth import CurrentJob
from jobsworth.integrations.django import jobs

from .models import Report

# Counting words is done in the blink of an eye. So that there is something to see, it lingers: seconds per part.
PACE = float(os.environ.get("REPORTS_PACE", "0.5"))
PARTS = 10


@jobs.task(queue="reports")
def count_words(job: CurrentJob, report_id: int) -> int:
    """Count the words of a report's text. Safe to run again from the start: it writes the same once more."""
    report = Report.objects.get(pk=report_id)
    words = re.findall(r"\w+", report.text.lower())
    counted: Counter[str] = Counter()
    for part in range(PARTS):
        job.check_cancelled()  # raises, if the person has pressed the button
        counted.update(words[part::PARTS])
        job.report_progress(part + 1, PARTS, message=f"{counted.total()} words counted")
        time.sleep(PACE)
    report.words, report.most_common = counted.total(), counted.most_common(5)
    report.save(update_fields=["words", "most_common"])
    return report.words
