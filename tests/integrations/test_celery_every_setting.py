"""Each setting of Celery 5.7 is heeded, holds anyway, warns of what happens instead or is refused: none is silent."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from celery_recorded_settings import OLD_NAMES, SETTINGS

import jobsworth.integrations.celery
from jobsworth.errors import UnknownQueue
from jobsworth.integrations.celery import Celery, DiffersFromCelery, NotSupported
from jobsworth.integrations.celery.conf import Settings
from jobsworth.integrations.celery.exceptions import QueueNotFound
from jobsworth.integrations.celery.settings import LEGACY, RULES, name_of
from jobsworth.queue import Keep

SOURCE = "".join(
    path.read_text(encoding="utf-8") for path in Path(jobsworth.integrations.celery.__file__).parent.glob("*.py")
)
OURS = {"redis_backend_health_check_interval"}  # read by Celery's Redis backend, and not in its list


class Strange:
    """A value that no setting holds by default."""


@pytest.fixture
def conf() -> Settings:
    return Settings(lambda: None)


def test_every_setting_is_known_with_its_default(conf: Settings) -> None:
    assert set(RULES) - set(SETTINGS) == OURS
    assert {name: conf[name] for name in SETTINGS} == SETTINGS


def test_every_old_name_is_understood() -> None:
    known = {old: new for old, new in LEGACY.items() if new not in OURS}
    assert {old: known[old] for old in OLD_NAMES} == OLD_NAMES
    assert set(known) - set(OLD_NAMES) == {"CELERY_BROKER_URL", "CELERY_ENABLE_UTC"}
    for old, new in OLD_NAMES.items():
        assert name_of(old) == new
        assert name_of(f"CELERY_{new.upper()}", "CELERY") == new


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_no_setting_is_silent(name: str, conf: Settings) -> None:
    rule = RULES[name]
    match rule.kind:
        case "refused":
            with pytest.raises(NotSupported) as caught:
                conf[name] = Strange()
            assert rule.text in str(caught.value)
        case "idle":
            with pytest.warns(DiffersFromCelery) as warned:
                conf[name] = Strange()
            assert rule.text in str(warned[0].message)
        case "heeded":
            conf[name] = Strange()
            assert f"conf.{name}" in SOURCE, "nobody reads it"
        case "holds":
            conf[name] = Strange()
    assert rule.text or rule.kind == "heeded"
    conf[name] = SETTINGS[name] if rule.fits(SETTINGS[name]) else None  # what holds is silent


def test_what_celery_does_otherwise_by_default_is_told_when_it_is_asked_for() -> None:
    otherwise = Counter(rule.kind for name, rule in RULES.items() if not rule.fits(SETTINGS.get(name)))
    told = {name for name, rule in RULES.items() if rule.kind == "idle" and not rule.fits(SETTINGS.get(name))}
    assert otherwise["refused"] == 0
    assert told == {
        "task_acks_late", "task_retry_on_worker_lost", "worker_disable_prefetch", "worker_hijack_root_logger",
        "worker_pool_start_method", "worker_prefetch_multiplier", "worker_redirect_stdouts",
    }  # fmt: skip


def test_secrets_are_not_shown(conf: Settings) -> None:
    conf.broker_url = "redis://:hidden@h/0"
    assert "hidden" not in repr(conf)
    for name in ("broker_password", "s3_secret_access_key", "database_url", "broker_transport_options"):
        with pytest.warns(DiffersFromCelery) if RULES[name].kind == "idle" else pytest.raises(NotSupported) as told:
            conf[name] = "hidden"
        said = told.list[0].message if isinstance(told, pytest.WarningsRecorder) else told.value
        assert "hidden" not in str(said)


def test_a_default_that_is_changed_in_place_raises(conf: Settings) -> None:
    with pytest.raises(TypeError):
        conf.beat_schedule["nightly"] = {"task": "t", "schedule": 60}


@pytest.mark.parametrize(
    ("settings", "slots", "keep", "failed"),
    [
        ({}, os.cpu_count(), Keep(age=86_400), Keep()),
        ({"worker_concurrency": "auto", "result_expires": 0}, os.cpu_count(), Keep(), Keep()),
        ({"worker_concurrency": 3, "result_failure_expires": 60}, 3, Keep(age=86_400), Keep(age=60)),
        ({"worker_concurrency": 3, "worker_pool": "solo"}, 1, Keep(age=86_400), Keep()),
    ],
)
def test_queues_follow_the_settings(settings: dict[str, Any], slots: int, keep: Keep, failed: Keep) -> None:
    queue = Celery("q", broker="memory://", changes=settings).jobs.queues["celery"]
    assert (queue.worker_count, queue.keep, queue.keep_failed) == (slots, keep, failed)


def test_a_worker_serves_queues_that_nobody_named_unless_the_settings_say_no() -> None:
    app = Celery("q", broker="memory://")

    @app.task
    def anywhere() -> str:
        return "ran"

    worker = app.jobs.worker("video:2,celery")
    assert worker.slots["video"] == 2
    app.conf.worker_concurrency = 5  # a change of settings takes nothing away
    with worker:
        assert anywhere.apply_async(queue="video").get(timeout=10) == "ran"
    app.conf.update(task_create_missing_queues=False, task_queues=["named"])
    with pytest.raises(UnknownQueue):
        app.jobs.worker("sound")
    with pytest.raises(QueueNotFound, match="Queue 'sound' missing from task_queues"):
        anywhere.apply_async(queue="sound")
    assert anywhere.apply_async(queue="named").status == "PENDING"
    app.close()


def test_limits_are_the_calls_else_the_tasks_else_the_apps() -> None:
    app = Celery("q", broker="memory://", changes={"task_time_limit": 100, "task_soft_time_limit": 90})

    @app.task
    def plain() -> None: ...

    @app.task(time_limit=50, soft_time_limit=40)
    def own() -> None: ...

    assert (app.handled(plain).timeout, plain.soft_limit, app.handled(plain).isolation) == (100, 90, "process")
    assert (app.handled(own).timeout, own.soft_limit) == (50, 40)
    assert app.jobs.find(ids=[own.apply_async(time_limit=5).id])[0].timeout == 5
    with pytest.warns(DiffersFromCelery, match="no effect in a thread") as told:
        app.conf.update(worker_pool="threads")
    for task in (plain, own):
        assert [str(each.message) for each in told if f" {task.name} " in str(each.message)], task
    app.conf.timezone = "UTC"  # told once
    with pytest.warns(DiffersFromCelery, match="no effect in a thread"):
        plain.apply_async(soft_time_limit=5)
    app.close()
