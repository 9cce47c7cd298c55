"""`jobsworth.integrations.flask` with the real Flask: behind werkzeug's threads, under `flask`, in child processes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask, current_app, g, session

from commandline import COMMAND, run, running
from hosting import by_werkzeug
from jobsworth import Jobsworth, State
from jobsworth.errors import BadOption
from jobsworth.integrations.flask import JobsworthFlask
from jobsworth.web import Level, Request, Visitor
from private_server import free_port
from undertaker import alive
from waiting import until

FLASK = (sys.executable, "-m", "flask")
SECRET = "a secret of more than sixteen characters"
# A package with an application factory, as people write them: its tasks know no app.
TASKS = """
import os, time
from pathlib import Path
from flask import current_app
from jobsworth import Jobsworth, Queue, current_job
from jobsworth.integrations.flask import JobsworthFlask

jobs = Jobsworth("memory://")
background = JobsworthFlask(jobs)
jobs.add(Queue("apart", isolation="process"))

@jobs.task
def where() -> list:
    return [current_app.config["SHOP"], os.getpid()]

@jobs.task(queue="apart")
def apart() -> list:
    return [current_app.config["SHOP"], os.getpid()]

@jobs.task
async def later() -> list:
    return [current_app.config["SHOP"], os.getpid()]

@jobs.task
def long() -> None:
    Path("runs").write_text(str(os.getpid()))
    while True:
        current_job().check_cancelled()
        time.sleep(0.02)
"""
FACTORY = """
import os
from flask import Flask
from .tasks import apart, background, long

def create_app():
    app = Flask(__name__)
    app.config.from_mapping(SHOP="corner shop", JOBSWORTH_URL="sqlite:///shop.db")
    app.config["JOBSWORTH_WORKER"] = os.environ.get("SHOP_WORKER") == "inside"
    background.init_app(app)

    @app.get("/pid")
    def pid():
        return str(os.getpid())

    @app.post("/long")
    def begin():
        return long.enqueue().id

    @app.post("/apart")
    def begin_apart():
        return apart.enqueue().id

    return app
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with the package `shop`."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text(FACTORY)
    (tmp_path / "shop" / "tasks.py").write_text(TASKS)
    return tmp_path


@contextlib.contextmanager
def looking_at(folder: Path) -> Iterator[Jobsworth]:
    """The shop's jobs, seen from outside."""
    with contextlib.closing(Jobsworth(f"sqlite:///{folder / 'shop.db'}")) as jobs:
        yield jobs


def _asks(url: str) -> str:
    """The pid of the process that serves the shop; empty while none does."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/pid", trust_env=False).text
    return ""


def who(_request: Request) -> Visitor | None:
    """Asked within the request: Flask's session is at hand."""
    user = session.get("user")
    if user == "root":
        return Visitor(Level.ADMIN, name=user)
    return Visitor(Level.USER, owner=f"user:{user}") if user else None


def an_app(jobs: Jobsworth, **config: Any) -> Flask:
    """An app whose users sign in, with the site mounted."""
    app = Flask(__name__)
    app.secret_key = "of no matter"
    app.config.update(config)
    JobsworthFlask(jobs, app, authorize=who)

    @app.get("/in/<user>")
    def sign_in(user: str) -> str:
        session["user"] = user
        return user

    return app


# ── an app and its config ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_apps_config_says_where_jobs_live_and_signs_their_tokens(tmp_path: Path) -> None:
    jobs = Jobsworth("memory://")
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    app = an_app(jobs, JOBSWORTH_URL=url, JOBSWORTH_SECRET=SECRET)
    job = jobs.task(lambda: None, name="wait").enqueue()  # type: ignore[call-overload]
    assert jobs.url == url
    with by_werkzeug(app) as client:
        bearer = {"authorization": f"Bearer {job.token()}"}
        assert client.get(f"/background/jobs/{job.id}/status", headers=bearer).json()["job"]["id"] == job.id
    jobs.close()
    assert (tmp_path / "jobs.db").exists()


def test_an_extension_meets_its_apps_later_one_after_the_other(tmp_path: Path) -> None:
    """As in a test suite that makes an app with a database of its own for each test."""
    jobs = Jobsworth("memory://")
    extension = JobsworthFlask(jobs)

    @jobs.task
    def name() -> str:
        return current_app.name

    for number in ("one", "two"):
        app = Flask(number)
        app.config["JOBSWORTH_URL"] = f"sqlite:///{tmp_path / number}.db"
        extension.init_app(app)
        assert app.extensions["jobsworth"] is extension
        with jobs.worker():
            assert name.enqueue().result(timeout=10) == number
        assert len(jobs.find()) == 1
        jobs.close()


def test_mistakes_are_told_at_once(tmp_path: Path) -> None:
    jobs = Jobsworth(f"sqlite:///{tmp_path / 'jobs.db'}")
    app = Flask("shop")
    extension = JobsworthFlask(jobs, app)
    with pytest.raises(BadOption, match="has a Jobsworth already"):
        extension.init_app(app)
    with pytest.raises(BadOption, match="nobody heeds origins"):
        JobsworthFlask(jobs, origins=["https://app.test"])
    with pytest.raises(BadOption, match="a Jobsworth first"):
        JobsworthFlask(app)  # type: ignore[arg-type]
    jobs.open()
    other = Flask("other")
    other.config["JOBSWORTH_URL"] = "memory://"
    with pytest.raises(BadOption, match=r"live at .* already, and that is open"):
        extension.init_app(other)
    jobs.close()
    wrong = Flask("wrong")
    wrong.config["JOBSWORTH_WORKER"] = "images:4"
    with pytest.raises(BadOption, match="JOBSWORTH_WORKER must be"):
        JobsworthFlask(Jobsworth("memory://"), wrong)


def test_several_apps_in_one_process_keep_apart() -> None:
    told: dict[str, Jobsworth] = {name: Jobsworth("memory://") for name in ("public", "admin")}
    apps = {name: an_app(jobs, SHOP=name) for name, jobs in told.items()}
    for name, jobs in told.items():

        @jobs.task(name="where")
        def where() -> str:
            return str(current_app.config["SHOP"])

        job = where.options(owner="user:ada").enqueue()
        with jobs.worker():
            assert job.result(timeout=10) == name
        for each, app in apps.items():
            client = app.test_client()
            client.get("/in/ada")
            assert (client.get(f"/background/jobs/{job.id}/status").status_code == 200) is (each == name)
    for jobs in told.values():
        jobs.close()


# ── the site among the app's routes ──────────────────────────────────────────────────────────────────────────────────


def test_users_see_and_cancel_their_own_jobs_and_no_others(jobs: Jobsworth) -> None:
    task = jobs.task(lambda: None, name="wait")  # type: ignore[call-overload]
    mine, other = (task.options(owner=f"user:{name}").enqueue().id for name in ("ada", "bob"))
    with by_werkzeug(an_app(jobs)) as client:
        assert client.get(f"/background/jobs/{mine}/status").status_code == 401
        client.get("/in/ada")
        answer = client.get(f"/background/jobs/{mine}/status")
        version = answer.json()["job"]["version"]
        assert client.head(f"/background/jobs/{mine}/status").headers["content-length"] == str(len(answer.content))
        assert client.get(f"/background/jobs/{other}/status").status_code == 404
        assert client.post(f"/background/jobs/{other}/cancel").status_code == 404
        waits = threading.Thread(target=lambda: jobs.handle(mine).cancel("changed my mind"))
        waits.start()
        news = client.get(f"/background/jobs/{mine}/status", params={"since": version, "wait": 10}).json()
        waits.join()
        assert news["job"]["error"]["message"] == "changed my mind"
        assert not client.post(f"/background/jobs/{mine}/cancel", json={"reason": "again"}).json()["accepted"]


def test_every_address_and_method_reaches_the_site_under_its_prefix(jobs: Jobsworth) -> None:
    job = jobs.task(lambda: None, name="wait").enqueue()  # type: ignore[call-overload]
    with by_werkzeug(an_app(jobs, JOBSWORTH_PATH="/inner/jobs/")) as client:
        client.get("/in/root")
        assert client.get("/inner/jobs").headers["location"].endswith("/inner/jobs/")
        assert "<title>" in client.get("/inner/jobs/").text
        assert client.get("/inner/jobs/static/jobsworth.js").status_code == 200
        refused = client.put("/inner/jobs/api/jobs")
        assert (refused.status_code, refused.json()["code"]) == (405, "E605")
        assert client.get("/inner/jobs/nothing").json()["code"] == "E604"
        made = client.post("/inner/jobs/api/jobs", json={"task": "wait"})
        assert made.status_code == 201
        foreign = {"origin": "https://evil.test", "sec-fetch-site": "cross-site"}
        assert client.delete(f"/inner/jobs/api/jobs/{job.id}", headers=foreign).json()["code"] == "E603"
        assert client.delete(f"/inner/jobs/api/jobs/{job.id}").status_code == 200


# ── handlers within the app ──────────────────────────────────────────────────────────────────────────────────────────


def test_handlers_have_the_apps_context_for_themselves_and_tear_it_down(jobs: Jobsworth) -> None:
    app = Flask("shop")
    JobsworthFlask(jobs, app)
    torn: list[BaseException | None] = []
    app.teardown_appcontext(torn.append)

    @jobs.task(max_attempts=1)
    def work(fails: bool) -> list[Any]:
        g.seen = g.get("seen", 0) + 1
        if fails:
            raise KeyError("wrong")
        return [current_app.name, g.seen]

    @jobs.task
    async def later() -> str:
        return current_app.name

    with jobs.worker():
        assert [work.enqueue(False).result(timeout=10) for _ in range(2)] == [["shop", 1]] * 2
        assert later.enqueue().result(timeout=10) == "shop"
        assert work.enqueue(True).wait(timeout=10).state is State.FAILED
    assert [type(each) for each in torn] == [type(None)] * 3 + [KeyError]


def test_a_handler_whose_app_nobody_made_says_what_to_do(jobs: Jobsworth) -> None:
    JobsworthFlask(jobs)
    task = jobs.task(lambda: None, name="work", max_attempts=1)  # type: ignore[call-overload]
    with jobs.worker():
        job = task.enqueue().wait(timeout=10)
    assert job.failure.message.startswith("E100: this handler belongs to a Flask app")
    assert "flask --app NAME jobs worker" in job.failure.message


# ── a worker in the web process ──────────────────────────────────────────────────────────────────────────────────────


def test_a_worker_begins_with_the_first_request_and_ends_with_the_extension(tmp_path: Path) -> None:
    jobs = Jobsworth(f"sqlite:///{tmp_path / 'jobs.db'}")
    task = jobs.task(lambda: 7, name="seven")  # type: ignore[call-overload]
    app = an_app(jobs, JOBSWORTH_WORKER={"queues": "default:2", "grace": 1, "name": "web"})
    assert jobs.workers() == []
    with by_werkzeug(app) as client:
        threads = [threading.Thread(target=client.get, args=("/in/ada",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (card,) = jobs.workers()
        assert card.id.startswith("web.")
        assert card.queues == {"default": 2}
        assert task.enqueue().result(timeout=10) == 7
    app.extensions["jobsworth"].close()
    assert jobs.workers() == []
    jobs.close()


def test_a_child_of_the_web_process_makes_the_app_as_flask_does(shop: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = {"SHOP_WORKER": "inside", "PYTHONUNBUFFERED": "1"}
    with running(shop, "--app", "shop:create_app", "run", "--port", str(port), program=FLASK, **options) as server:
        until(lambda: _asks(url), 40, server.err)
        with looking_at(shop) as jobs:
            place, pid = jobs.handle(httpx.post(f"{url}/apart", trust_env=False).text).result(timeout=40)
        assert (place, pid != server.pid) == ("corner shop", True)


# ── flask's own command line ─────────────────────────────────────────────────────────────────────────────────────────


def test_flask_jobs_is_our_command_line_for_this_app(shop: Path) -> None:
    help_text = run(shop, "--app", "shop", "jobs", "--help", program=FLASK)
    assert (help_text.code, "move-engine" in help_text.out) == (0, True)
    made = run(shop, "--app", "shop", "jobs", "enqueue", "where", program=FLASK)
    assert made.code == 0, made.err
    listed = run(shop, "--app", "shop", "jobs", "list", "--json", program=FLASK, JOBSWORTH_APP="others:jobs")
    assert listed.json[0]["task"] == "where", listed
    assert (shop / "shop.db").exists()
    assert "error[E301]" in run(shop, "--app", "shop", "jobs", "show", "nope", program=FLASK).err


@pytest.mark.parametrize(
    ("program", "words", "workers"),
    [
        (FLASK, ["--app", "shop", "jobs", "worker", "--processes", "2"], 2),
        (COMMAND, ["worker", "wsgi:jobs"], 1),
        (COMMAND, ["worker", "jobsworth.integrations.flask:app:shop:create_app"], 1),
    ],
    ids=["flask jobs", "a module that makes the app", "as flask --app does"],
)
def test_handlers_run_within_the_app_wherever_they_run(
    shop: Path, program: tuple[str, ...], words: list[str], workers: int
) -> None:
    (shop / "wsgi.py").write_text("from shop import create_app\nfrom shop.tasks import jobs\n\napp = create_app()\n")
    with running(shop, *words, program=program) as worker:
        with looking_at(shop) as jobs:
            until(lambda: len(jobs.workers()) == workers, 40, worker.err)
            queues = {"where": "default", "later": "default", "apart": "apart"}
            found = {
                name: jobs.task(lambda: None, name=name, queue=queue).enqueue().result(timeout=40)  # type: ignore[call-overload]
                for name, queue in queues.items()
            }
            pids = {card.pid for card in jobs.workers()}
        assert {place for place, _ in found.values()} == {"corner shop"}
        assert found["where"][1] in pids
        assert found["apart"][1] not in pids
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ends() == 0


def test_an_app_that_cannot_be_made_is_told_in_one_message(shop: Path) -> None:
    spec = "jobsworth.integrations.flask:app:"
    nothing = run(shop, "worker", f"{spec}nothing")
    assert (nothing.code, "Traceback" in nothing.err) == (2, False)
    assert "error[E102]" in nothing.err
    (shop / "broken.py").write_text("from flask import Flask\nFlask.nothing\n")
    broken = run(shop, "worker", f"{spec}broken")
    assert (broken.code, "Traceback" in broken.err) == (2, False)
    assert "error[E101]" in broken.err
    assert "has no attribute 'nothing'" in broken.err
    (shop / "bare.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    bare = run(shop, "worker", f"{spec}bare")
    assert (bare.code, "has no Jobsworth" in bare.err) == (2, True)


# ── the reloader ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_reloader_starts_a_worker_with_the_new_code_and_no_job_is_lost(shop: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = {"SHOP_WORKER": "inside", "PYTHONUNBUFFERED": "1"}
    with running(shop, "--app", "shop", "run", "--debug", "--port", str(port), program=FLASK, **options) as server:
        first = until(lambda: _asks(url), 40, server.err)
        with looking_at(shop) as jobs:
            (card,) = until(jobs.workers)
            assert card.pid == int(first) != server.pid  # the reloader itself runs no jobs
            job = jobs.handle(httpx.post(f"{url}/long", trust_env=False).text)
            until(lambda: job.state is State.RUNNING)
            until(lambda: (shop / "runs").exists())
            text = (shop / "shop" / "tasks.py").read_text()
            (shop / "shop" / "tasks.py").write_text(text + "\n# changed\n")
            # Sooner than a worker's usual grace is over, for which nobody who saves a file wants to wait.
            second = until(lambda: (now := _asks(url)) != first and now, 25, server.err)
            until(lambda: [each.pid for each in jobs.workers()] == [int(second)], what="one worker, the new one")
            until(lambda: (shop / "runs").read_text() == second, what="the job runs again, in the new process")
            assert (job.refresh().job.crashes, job.job.errors) == (0, 0)
            job.cancel()
            until(lambda: job.state is State.CANCELLED)
        server.process.send_signal(signal.SIGINT)
        os.kill(int(second), signal.SIGINT)  # a terminal's Ctrl-C reaches both
        server.ends()
    until(lambda: not alive(int(second)), what="nothing stays")
    assert "Traceback" not in server.err
