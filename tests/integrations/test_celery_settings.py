"""What becomes of Celery's settings, URLs and routes here; and `jobsworth celery-check`, which tells it."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from commandline import run_here
from jobsworth.errors import BadOption
from jobsworth.integrations.celery import Celery, DiffersFromCelery, NotSupported, Signature, Task
from jobsworth.integrations.celery.place import engine_url
from jobsworth.integrations.celery.rates import Rates
from jobsworth.integrations.celery.reading import BY_DEFAULT, findings
from jobsworth.integrations.celery.routes import Router
from jobsworth.integrations.celery.schedule import backoff, per_second


@pytest.fixture
def app() -> Celery:
    return Celery("tasks", broker="memory://")


@pytest.mark.parametrize(
    ("broker", "url"),
    [
        ("redis://h:6379/1", "redis://h:6379/1"),
        ("redis+socket:///tmp/r.sock?virtual_host=2", "unix:///tmp/r.sock?db=2"),
        ("sqla+sqlite:///jobs.db", "sqlite:///jobs.db"),
        ("db+postgresql+psycopg2://u:p@h/d", "postgresql://u:p@h/d"),
        ("memory://localhost/", "memory://"),
        ("memory", "memory://"),
        ("rediss://:p@h/0?ssl_cert_reqs=CERT_REQUIRED&namespace=a", "rediss://:p@h/0?namespace=a"),
        ("postgresql://u@h/d?sslmode=require", "postgresql://u@h/d?sslmode=require"),
        ("theirs://h", "theirs://h"),
    ],
)
def test_celerys_urls_are_understood(broker: str, url: str) -> None:
    assert engine_url(broker) == url


BROKERS = (
    "SLMQ", "SQS", "amqp", "amqps", "azureservicebus", "azurestoragequeues", "confluentkafka", "consul", "etcd",
    "filesystem", "gcpubsub", "kafka", "librabbitmq", "mongodb", "pgmq", "pyamqp", "pyro", "qpid", "sentinel", "slmq",
    "sqla", "sqlalchemy", "sqs", "zookeeper", "sqla+mysql+pymysql",
)  # fmt: skip


@pytest.mark.parametrize(
    "broker",
    [
        *(f"{scheme}://u:secret@h/x" for scheme in BROKERS), *BROKERS, "redis://a;redis://b",
        "rediss://:secret@h/0?ssl_cert_reqs=none", "rediss://:secret@h/0?ssl_ca_certs=/x",
    ],
)  # fmt: skip
def test_brokers_that_are_no_engine_are_refused(broker: str) -> None:
    with pytest.raises(NotSupported) as caught:
        engine_url(broker)
    assert "secret" not in str(caught.value)


def test_what_only_tunes_redis_py_is_told() -> None:
    with pytest.warns(DiffersFromCelery, match="socket_timeout in broker_url has no effect"):
        assert engine_url("redis://h/1?socket_timeout=3") == "redis://h/1"


def test_results_live_with_their_jobs_and_another_place_warns() -> None:
    with pytest.warns(DiffersFromCelery, match="result_backend='redis://:\\*\\*\\*@h/1' has no effect"):
        Celery("a", broker="memory://", backend="redis://:secret@h/1")
    Celery("a", broker="memory://", backend="cache+memory://")


def test_a_setting_is_heeded_warned_of_or_refused(app: Celery) -> None:
    app.conf.update(task_serializer="json", accept_content=["json"], task_acks_late=True, worker_prefetch_multiplier=1)
    with pytest.warns(DiffersFromCelery, match="task_acks_late=False has no effect"):
        app.conf.task_acks_late = False
    with pytest.raises(NotSupported, match="pickle"):
        app.conf.update(task_default_queue="never", accept_content=["json", "pickle"])
    assert app.conf.task_default_queue == "celery"
    with pytest.raises(NotSupported, match="beat_schedule"):
        app.conf.beat_schedule = {"each": {"task": "t", "schedule": 3}}
    with pytest.raises(BadOption, match="task_serialiser"):
        app.conf.task_serialiser = "json"
    with pytest.raises(AttributeError, match="task_serializer"):
        app.conf.task_serialize  # noqa: B018
    app.conf["CELERY_TASK_SERIALIZER"] = "json"
    assert app.conf["task_default_queue"] == "celery"


def test_settings_come_from_objects_with_and_without_a_namespace(app: Celery) -> None:
    class Old:
        CELERY_DEFAULT_QUEUE = "old"
        CELERY_TIMEZONE = "Europe/Vienna"
        DEBUG = True

    app.config_from_object(Old)
    assert app.conf.task_default_queue == "old"
    app.config_from_object({"CELERY_TASK_DEFAULT_QUEUE": "django", "DEBUG": 1, "SECRET_KEY": "x"}, namespace="CELERY")
    assert app.conf.task_default_queue == "django"
    assert list(app.jobs.queues) == ["django"]


def test_queues_and_tasks_follow_the_settings(app: Celery) -> None:
    @app.task
    def plain() -> None: ...

    @app.task(name="slow.one", time_limit=5)
    def slow() -> None: ...

    app.conf.update(worker_concurrency=3, task_routes=[("slow.*", {"queue": "slow"})], result_expires=60)
    assert {name: queue.worker_count for name, queue in app.jobs.queues.items()} == {"celery": 3, "slow": 3}
    assert app.jobs.tasks["slow.one"].queue.name == "slow"
    assert (app.handled(plain).isolation, app.handled(slow).isolation) == ("thread", "process")
    assert app.handled(slow).timeout == 5
    app.conf.worker_pool = "prefork"
    assert app.handled(plain).isolation == "process"


@pytest.mark.parametrize(
    ("routes", "queue"),
    [
        ({"a.b": "one"}, "one"),
        ({"a.*": {"queue": "two"}}, "two"),
        ([({re.compile("a\\..*"): {"queue": "three"}})], "three"),
        ([("a.*", {"queue": "four"})], "four"),
        ([lambda name, args, kwargs, options, task=None, **_: {"queue": "five"}], "five"),
        ({"x": "six"}, None),
        (None, None),
    ],
)
def test_routes_are_read_as_celery_writes_them(app: Celery, routes: Any, queue: str | None) -> None:
    app.conf.task_routes = routes
    assert Router(app).route("a.b", (), {}, {}, None).get("queue") == queue


def test_a_route_without_a_queue_is_refused(app: Celery) -> None:
    app.conf.task_routes = {"a": {"exchange": "media"}}
    with pytest.raises(NotSupported, match="names no queue"):
        Router(app).route("a", (), {}, {}, None)


def test_annotations_change_tasks(app: Celery) -> None:
    @app.task
    def quick() -> None: ...

    app.conf.task_annotations = {"*": {"max_retries": 9}, quick.name: {"rate_limit": "2/s"}}
    assert (quick.max_retries, quick.rate_limit) == (9, "2/s")
    assert app.handled(quick).max_attempts == 10


def test_options_that_have_no_effect_are_told(app: Celery) -> None:
    with pytest.warns(DiffersFromCelery, match="colour"):

        @app.task(colour="red")
        def red() -> None: ...

    with pytest.raises(NotSupported, match="pickle"):
        app.task(serializer="pickle")(lambda: None)
    with pytest.warns(DiffersFromCelery, match="exchange"):
        red.apply_async(exchange="x")


def test_settings_may_come_from_a_module_that_a_variable_names(
    app: Celery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "settings_of_a_variable.py").write_text("task_default_queue = 'video'\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotSupported, match="SETTINGS_MODULE is not set"):
        app.config_from_envvar("SETTINGS_MODULE")
    app.config_from_envvar("SETTINGS_MODULE", silent=True)
    assert app.conf.task_default_queue == "celery"
    monkeypatch.setenv("SETTINGS_MODULE", "settings_of_a_variable")
    app.config_from_envvar("SETTINGS_MODULE")
    assert app.conf.task_default_queue == "video"


def test_a_test_may_give_a_task_a_request_of_its_own(app: Celery) -> None:
    @app.task(bind=True)
    def which(self: Task) -> Any:
        return self.request.id

    which.push_request(id="mine")
    try:
        assert which.request.id == "mine"
        assert which.run() == "mine"
    finally:
        which.pop_request()
    assert which.request.id is None


def test_a_signature_is_made_of_a_dict_and_may_be_made_immutable(app: Celery) -> None:
    @app.task
    def add(x: int, y: int = 0) -> int:
        return x + y

    made = Signature.from_dict(dict(add.s(1)), app)
    assert made.apply((5,)).result == 6
    made.set_immutable(True)
    assert made.apply((5,)).result == 1


def test_a_rate_that_cannot_be_read_is_refused_where_it_is_said(app: Celery) -> None:
    @app.task(rate_limit="5/m")
    def paced() -> None: ...

    for say in (
        lambda: app.task(rate_limit="often", name="often")(lambda: None),
        lambda: app.conf.update(task_default_rate_limit="often"),
        lambda: app.conf.update(task_annotations={"*": {"rate_limit": "often"}}),
    ):
        with pytest.raises(BadOption, match="'often' is no rate limit"):
            say()
    assert paced.rate_limit == "5/m"
    assert (app.conf.task_default_rate_limit, app.conf.task_annotations, "often" in app.tasks) == (None, None, False)


def test_rate_limits_give_each_job_its_turn(app: Celery) -> None:
    @app.task(rate_limit="1/m")
    def rare() -> None: ...

    rates = Rates()
    assert rates.wait(rare, "a") == 0
    assert 59 < rates.wait(rare, "b") <= 60
    assert 119 < rates.wait(rare, "c") <= 120
    assert 0 < rates.wait(rare, "b") <= 60  # its turn is kept
    assert [per_second(each) for each in ("10/s", "30/m", "36/h", None, 0, 5)] == [10, 0.5, 0.01, None, None, 5]
    with pytest.raises(BadOption):
        per_second("often")


def test_backoff_is_celerys() -> None:
    assert [backoff(2, n, 600, jitter=False) for n in range(4)] == [2, 4, 8, 16]
    assert backoff(1, 500, 600, jitter=False) == 600
    assert all(0 <= backoff(1, 3, 600, jitter=True) <= 8 for _ in range(50))


def test_priorities_mean_what_they_mean_with_celerys_broker(app: Celery) -> None:
    assert app.priority_stored(3) == 3
    redis = Celery("r", broker="redis://h/0")
    assert redis.priority_stored(3) == -3
    assert redis.priority_shown(-3) == 3


PROGRAM = """
from celery import Celery, chain
from celery.schedules import crontab
from celery.signals import beat_init
app = Celery("tasks", broker="amqp://h", backend="redis://h/1")
app.conf.update(task_serializer="pickle", worker_prefetch_multiplier=8)
app.conf.task_track_started = True

@app.task(bind=True, acks_late=True, soft_time_limit=5)
def a(self):
    chain(a.s(), a.s())
    a.apply_async(routing_key="x")
    raise self.retry(args=(1,))
"""


def test_a_program_is_read_line_by_line() -> None:
    found = {(each.line, each.kind) for each in findings(PROGRAM)}
    assert found == {
        (2, "change"), (3, "refused"), (4, "change"), (4, "differs"), (5, "refused"), (5, "differs"), (6, "refused"),
        (6, "differs"), (9, "differs"), (11, "refused"), (12, "differs"),
    }  # fmt: skip


def test_a_warning_names_the_line_of_the_program_that_it_is_about() -> None:
    with pytest.warns(DiffersFromCelery) as warned:  # noqa: PT031 (it is about who of them all is blamed)
        app = Celery("lines", broker="memory://", worker_prefetch_multiplier=7)
        app.conf.update(worker_prefetch_multiplier=8)
        task = app.task(name="lines.task", send_events=True)(lambda: 1)
        task.apply_async(routing_key="video")
        app.send_task("lines.task", routing_key="video")
    source = Path(__file__).read_text().splitlines()
    assert {each.filename for each in warned} == {__file__}
    blamed = [source[each.lineno - 1].strip() for each in warned]
    assert [line.partition("(")[0] for line in blamed] == [
        "app = Celery", "app.conf.update", "task = app.task", "task.apply_async", "app.send_task",
    ]  # fmt: skip


def test_of_a_program_that_says_how_it_is_delivered_only_where_its_tasks_run_is_told() -> None:
    source = (Path(__file__).parent / "celery_program.py").read_text()
    assert [(each.line, each.text) for each in findings(source)] == [(11, BY_DEFAULT["worker_pool"])]
    assert findings(source.replace("worker_prefetch_multiplier=1", 'worker_pool="prefork"')) == []


def test_the_command_tells_it_and_fails_if_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(PROGRAM)
    (tmp_path / "fine.py").write_text("x = 1\n")
    told = run_here(tmp_path, "celery-check", "tasks")
    assert told.code == 1
    assert "tasks.py:11: refused: chain()" in told.out
    assert run_here(tmp_path, "celery-check", "fine.py").code == 0
    assert run_here(tmp_path, "celery-check", "nowhere").code == 2


def test_a_declared_app_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        app = Celery("quiet", broker="memory://")

        @app.task(bind=True, max_retries=3, autoretry_for=(OSError,), retry_backoff=True, acks_late=True)
        def quiet(self: Task) -> None: ...
