"""A queue of SPRAG's kind, for workers in processes of their own. gevent patches it if PATCHED is set."""

import os

if os.environ.get("PATCHED"):
    from gevent import monkey

    monkey.patch_all()

import threading
import time
from pathlib import Path

from jobsworth.integrations.sprag import QueueService

GO = Path(os.environ.get("GO", "go"))


class Pictures(QueueService):
    name = "pictures"
    worker_count = 2

    def handle_item(self, item):
        self.report_progress(current=1, total=2, message="Begun.")
        while not GO.exists():
            self.check_cancelled()
            time.sleep(0.01)
        return {"pid": os.getpid(), "thread": threading.current_thread().name, "item": item}


pictures = Pictures()
app = {"providers": {"pictures": pictures}}  # what a worker is given the name of; no Jobsworth by itself
