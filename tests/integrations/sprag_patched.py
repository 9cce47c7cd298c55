"""Run as a program: a patched web process, whose hub must turn whatever the engine does. Prints what it saw."""

import json
import time

import gevent
import sprag_app  # patches
from gevent import monkey
from sprag_scripts import ENDED, Transport, turning

sleep = monkey.get_original("time", "sleep")
queue = sprag_app.pictures
gaps = []


def tick():
    last = time.monotonic()
    while True:
        gevent.sleep(0.005)
        gaps.append(time.monotonic() - last)
        last = time.monotonic()


def slowly(find):
    async def look(where):
        sleep(1)
        return await find(where)

    return look


gevent.spawn(tick)
with Transport() as transport:
    queue.start()
    job_id = queue.enqueue_job({"n": 1}, session_id="s")["job"]["id"]
    turning(lambda: queue.get_job(job_id)["message"] == "Begun.")
    sprag_app.GO.touch()
    turning(lambda: queue.get_job(job_id)["status"] in ENDED)
    turning(lambda: [job for job in queue.state["jobs"].values() if job["status"] == "completed"])
    job = queue.get_job(job_id)
    gaps.clear()
    engine = queue.jobsworth.engine
    engine.find = slowly(engine.find)
    queue.get_job(job_id)
    queue.stop()
print(json.dumps({"job": job, "told": len(transport.sent), "ticks": len(gaps), "longest": max(gaps)}))
