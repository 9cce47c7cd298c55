"""`jobsworth celery-check` on a program of several files: still Celery's, changed already, and imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from commandline import run, run_here

APP = """\
from celery import Celery
from celery.schedules import crontab
from celery.signals import heartbeat_sent, task_prerun

app = Celery("shop")
app.config_from_object("shop.celeryconfig")
app.config_from_object("django.conf:settings", namespace="CELERY")

@app.on_after_configure.connect
def periodic(sender, **kwargs): ...
"""
CONFIG = """\
from kombu import Exchange, Queue
import os

broker_url = os.environ.get("BROKER", "redis://localhost/0")
result_backend: str = "redis://localhost/1"
accept_content = ["json", "pickle"]
task_queues = (Queue("video", Exchange("media"), routing_key="media.video"),)
task_acks_late = True
beat_schedule = {"nightly": {"task": "shop.nightly", "schedule": os.cpu_count()}}
worker_max_tasks_per_child = 100
"""
TASKS = """\
from celery import Task, chain, shared_task
from celery.exceptions import SoftTimeLimitExceeded
from celery.result import GroupResult, vanished
from .celery import app

class Base(Task):
    autoretry_for = (OSError,)
    serializer = "pickle"

@shared_task(bind=True, base=Base)
def encode(self, video):
    raise self.retry(countdown=5, shadow=video)

def start():
    chain(encode.s(1), encode.s(2))()
    app.control.rate_limit("shop.tasks.encode", "10/m")
    return app.amqp
"""
EXPECTED = """\
settings.py:1: differs: task_send_sent_event=True has no effect
shop/celery.py:1: change: from celery import -> from jobsworth.integrations.celery import
shop/celery.py:2: refused: celery.schedules is not here
shop/celery.py:3: change: from celery.signals import -> from jobsworth.integrations.celery.signals import
shop/celery.py:3: differs: heartbeat_sent is never sent
shop/celery.py:5: differs: tasks run in threads
shop/celery.py:9: refused: app.on_after_configure
shop/celeryconfig.py:1: differs: kombu comes with Celery
shop/celeryconfig.py:5: differs: result_backend has no effect
shop/celeryconfig.py:6: refused: accept_content=['json', 'pickle'] is refused
shop/celeryconfig.py:9: refused: beat_schedule={...: ...} is refused
shop/celeryconfig.py:10: differs: worker_max_tasks_per_child=100 has no effect
shop/tasks.py:1: change: from celery import
shop/tasks.py:2: change: from celery.exceptions import
shop/tasks.py:3: change: from celery.result import
shop/tasks.py:3: refused: celery.result.vanished is not here
shop/tasks.py:8: refused: serializer='pickle' is refused
shop/tasks.py:12: differs: retry(shadow=)
shop/tasks.py:15: refused: chain()
shop/tasks.py:16: refused: control.rate_limit()
shop/tasks.py:17: refused: app.amqp
21 findings, 9 of them refused
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name, text in {"celery": APP, "celeryconfig": CONFIG, "tasks": TASKS, "__init__": ""}.items():
        (tmp_path / "shop").mkdir(exist_ok=True)
        (tmp_path / "shop" / f"{name}.py").write_text(text)
    # S3_BUCKET is no setting of Celery's in a file that Celery takes no settings from.
    (tmp_path / "settings.py").write_text('CELERY_TASK_SEND_SENT_EVENT = True\nS3_BUCKET = "mine"\n')
    (tmp_path / "env" / "lib").mkdir(parents=True)
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "env" / "lib" / "theirs.py").write_text(TASKS)
    return tmp_path


def test_a_program_is_read_whole(shop: Path) -> None:
    told = run_here(shop, "celery-check")
    assert told.code == 1
    for line, expected in zip(told.out.splitlines(), EXPECTED.splitlines(), strict=True):
        assert line.startswith(expected)


def test_the_same_as_json(shop: Path) -> None:
    told = run_here(shop, "celery-check", "shop.tasks", "settings.py", "--json")
    assert told.code == 1
    assert (told.json["files"], told.json["refused"]) == (2, 5)
    assert told.json["findings"][-1] == {
        "file": "settings.py", "line": 1, "kind": "differs",
        "text": "task_send_sent_event=True has no effect: there are no event messages: the dashboard, /metrics and "
        "jobs.listeners show what they would",
    }  # fmt: skip


def test_a_program_whose_imports_are_changed_is_read_as_well(shop: Path) -> None:
    tasks = shop / "shop" / "tasks.py"
    before = run_here(shop, "celery-check", "shop.tasks").out.splitlines()
    tasks.write_text(TASKS.replace("from celery", "from jobsworth.integrations.celery"))
    after = run_here(shop, "celery-check", "shop.tasks").out.splitlines()
    assert [line for line in before[:-1] if ": change:" not in line] == [
        line.replace("jobsworth.integrations.celery.result.vanished", "celery.result.vanished") for line in after[:-1]
    ]


def test_a_file_that_cannot_be_read_is_told_and_fails(shop: Path) -> None:
    (shop / "settings.py").write_text("CELERY_TIMEZONE =\n")
    told = run_here(shop, "celery-check", "settings.py")
    assert (told.code, told.out.splitlines()[0]) == (1, "settings.py:1: unread: invalid syntax")


LIVE = """\
from jobsworth.integrations.celery import Celery

app = Celery("live", broker="memory://")
app.conf.update({"worker_prefetch_" + "multiplier": 7, "broker_transport_options": {"password": "hidden"}})

@app.task(acks_late=False, send_events=True)
def add(x): ...
"""


def test_an_app_may_be_imported_and_asked_for_its_settings(tmp_path: Path) -> None:
    (tmp_path / "live.py").write_text(LIVE)
    (tmp_path / "nothing.py").touch()
    told = run(tmp_path, "celery-check", "nothing.py", "--import", "live")
    assert [line.partition(" has no effect")[0] for line in told.out.splitlines()] == [
        "live: differs: broker_transport_options=...",
        "live: differs: worker_prefetch_multiplier=7",
        "live.py:6: differs: live.add: acks_late=False",
        "live.py:6: differs: live.add: send_events=True",
        "4 findings, 0 of them refused",
    ]
    assert told.code == 0
    (tmp_path / "live.py").write_text(LIVE + 'app.conf.task_serializer = "ya" + "ml"\n')
    told = run(tmp_path, "celery-check", "nothing.py", "--import", "live:app")
    assert (told.code, told.out.splitlines()[0].partition(" is not")[0]) == (
        1, "live.py:8: refused: task_serializer='yaml'",
    )  # fmt: skip
    assert run_here(tmp_path, "celery-check", "nothing.py", "--import", "nothing").code == 2
