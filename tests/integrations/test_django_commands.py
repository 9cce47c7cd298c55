"""A Django project's programs: its workers, whoever starts them, and its own tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("django", reason="Django is not installed: pip install 'jobsworth[django]'")
import django_house
from django import VERSION
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings
from django_processes import running
from django_site.shop.jobs import send, send_apart
from django_site.shop.models import Order

from jobsworth.cli import main
from jobsworth.locate import DJANGO, default_spec
from waiting import until
from web_client import a_url

BOTH = pytest.mark.parametrize("kind", ["sqlite", "postgres"])


@BOTH
def test_runjobs_is_a_worker_for_the_project(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = a_url(request, kind, tmp_path)
    with django_house.living_on(url) as jobs:
        order = Order.objects.create(what="tea")
        words = ("--queues=default:3", "--lease=5", "--grace=9", "--name=ours", "--log-format=json")
        with running(tmp_path, "manage.py", "runjobs", *words, SHOP_DATABASE=url) as worker:
            assert send.enqueue(order.pk).result(timeout=40) == "tea"
            assert send_apart.enqueue(order.pk).result(timeout=40)[0] == "tea"
            (card,) = jobs.workers()
            assert (card.queues, card.pid, card.id.startswith("ours.")) == ({"default": 3}, worker.process.pid, True)
            assert "django_site.shop.tasks.add" in card.tasks
            assert worker.ends(signal.SIGTERM) == 0
        assert "slots    default:3" in worker.said
        assert "running jobs get 9 s" in worker.said


def test_several_processes_find_the_project_wherever_they_are_started(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with django_house.living_on(url) as jobs:
        order = Order.objects.create(what="tea")
        # As from a service's unit: not in the project's folder.
        command = ("-m", "django", "runjobs", "--processes=2")
        with running(elsewhere, *command, SHOP_DATABASE=url, DJANGO_SETTINGS_MODULE="django_site.settings") as worker:
            until(lambda: len(jobs.workers()) == 2, 40, "two processes work")
            assert send.enqueue(order.pk).result(timeout=40) == "tea"
            assert worker.ends(signal.SIGTERM) == 0
        assert "2 processes" in worker.said


def test_jobsworths_own_command_finds_a_django_project(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    with django_house.living_on(url) as jobs:
        order = Order.objects.create(what="tea")
        with running(tmp_path, "worker", SHOP_DATABASE=url) as worker:
            assert send.enqueue(order.pk).result(timeout=40) == "tea"
            assert worker.ends(signal.SIGINT) == 0
        with running(tmp_path, "list", "--json", SHOP_DATABASE=url) as listing:  # looks at the same place
            assert listing.ends() == 0
        (job,) = jobs.find(states=["completed"])
        assert job.id in listing.said


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ["worker"]),
        ({"queues": "mail:2", "log_format": "json"}, ["worker", "--queues=mail:2", "--log-format=json"]),
        ({"verbosity": 0}, ["worker", "--quiet"]),
        ({"verbosity": 3}, ["worker", "--verbose"]),
        ({"reload": True, "queues": "mail"}, ["dev", "--port=0", "--queues=mail"]),
    ],
)
def test_runjobs_becomes_jobsworths_own_command(
    given: dict[str, Any], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda *command: became.append(command))
    monkeypatch.setenv("PYTHONPATH", "")  # which it changes, for those who come after it
    call_command("runjobs", **given)
    assert became == [(sys.executable, [sys.executable, "-m", "jobsworth", *words, f"--app={DJANGO}"])]
    assert str(Path(django_house.__file__).parent) in os.environ["PYTHONPATH"].split(os.pathsep)


def test_what_is_wrong_with_the_settings_is_said_before_any_work(tmp_path: Path) -> None:
    wrong = {"QUEUES": {"mail": {"workers": 2}}}
    with override_settings(JOBSWORTH=wrong), pytest.raises(SystemCheckError, match=r"jobsworth\.E004.*workers"):
        call_command("runjobs", skip_checks=False)
    with running(tmp_path, "worker", SHOP_JOBS=json.dumps(wrong), SHOP_DATABASE=f"sqlite:///{tmp_path}/s.db") as worker:
        assert worker.ends() == 2
    assert "error[E105]" in worker.said
    assert "has no option 'workers'" in worker.said


def test_a_queue_that_the_project_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", f"--app={DJANGO}", "--queues=mial"]) == 2
    said = capsys.readouterr().err
    assert "error[E107]: there is no queue 'mial' here" in said
    assert "did you mean" in said


@pytest.mark.parametrize(
    ("settings", "said", "hint"),
    [
        ("", "this is no Django project", "run it in the folder of manage.py"),
        ("without_app", "does not use Jobsworth", "INSTALLED_APPS"),
    ],
)
def test_a_folder_that_is_no_project_of_ours(tmp_path: Path, settings: str, said: str, hint: str) -> None:
    (tmp_path / "without_app.py").write_text("SECRET_KEY = 'x' * 50\nINSTALLED_APPS = []\n")
    (tmp_path / "manage.py").write_text("# nothing\n")
    given = {"DJANGO_SETTINGS_MODULE": settings} if settings else {}
    with running(tmp_path, "worker", "--app", DJANGO, **given) as worker:
        assert worker.ends() == 2
    assert "error[E102]" in worker.said
    assert said in worker.said
    assert hint in worker.said


def test_which_program_a_folder_offers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    assert default_spec() is None
    (tmp_path / "jobs.py").write_text("from jobsworth.integrations.django import jobs\n")
    assert default_spec() == "jobs.py"  # a program of one file, which sets Django up by itself
    (tmp_path / "manage.py").write_text('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n')
    assert default_spec() == DJANGO
    (tmp_path / "main.py").write_text("from jobsworth import Jobsworth\n")
    assert default_spec() == "main.py"


def test_the_settings_that_a_manage_py_names(tmp_path: Path) -> None:
    from jobsworth.integrations.django.program import named_in

    program = tmp_path / "manage.py"
    assert named_in(program) is None
    program.write_text('import os\ndef main():\n    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "a.b")\n')
    assert named_in(program) == "a.b"
    program.write_text("print('DJANGO_SETTINGS_MODULE')\n")
    assert named_in(program) is None


@pytest.mark.parametrize(
    ("missing", "module", "install"),
    [
        ("django", "jobsworth.integrations.django", "pip install 'jobsworth[django]'"),
        pytest.param(
            "django_tasks", "jobsworth.integrations.django.contract", "pip install django-tasks",
            marks=pytest.mark.skipif(VERSION >= (6, 0), reason="it is a part of Django since 6.0"),
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_what_to_install(missing: str, module: str, install: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "E115" in done.stderr
    assert install in done.stderr


@BOTH
def test_a_projects_own_tests_never_meet_its_real_jobs(kind: str, request: Any, tmp_path: Path) -> None:
    url = a_url(request, kind, tmp_path)
    with running(tmp_path, "manage.py", "test", "django_site.shop", "--noinput", SHOP_DATABASE=url) as tests:
        code = tests.ends(within=60)
    assert code == 0, tests.said
    assert "Ran 5 tests" in tests.said
