"""`jobsworth dashboard` and the page of `jobsworth dev`, as processes; and what they refuse."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import httpx
import pytest

from commandline import Running, run, run_here, running
from jobsworth.errors import BadOption, OpenToAll
from jobsworth.web import Level, Visitor
from jobsworth.web.server import address_of, listen, served, who_may
from waiting import until
from web_client import Client, a_site

APP = """
from jobsworth import Jobsworth
jobs = Jobsworth("sqlite:///jobs.db")

@jobs.task
def add(a: int, b: int) -> int:
    return a + b
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def address(command: Running, word: str = "dashboard") -> str:
    found = until(lambda: re.search(rf"^{word} +(http://\S+)", command.err, re.MULTILINE), 30, command.err)
    return found[1]


def test_it_shows_the_app_to_whoever_sits_here_and_ends_well(folder: Path) -> None:
    with running(folder, "dashboard", "app.py", "--port", "0") as command:
        base = address(command)
        assert base.startswith("http://127.0.0.1:")
        with httpx.Client(base_url=base, trust_env=False) as client:
            assert client.get("/api/tasks").json()[0]["task"] == "add"
            made = client.post("/api/jobs", json={"task": "add", "arguments": [1, 2]})
            assert made.status_code == 201
            assert client.get("/").status_code == 200
            assert client.get("/api/jobs", headers={"host": "rebound.evil.test"}).status_code == 401
            assert "server" not in client.get("/livez").headers
        command.process.send_signal(signal.SIGINT)
        assert command.ends() == 0
    assert "Traceback" not in command.err
    assert "root: " not in command.err
    assert "local: enqueue add" in command.err


def test_sigterm_ends_it_too(folder: Path) -> None:
    with running(folder, "dashboard", "--port", "0", "--read-only") as command:
        base = address(command)
        assert httpx.get(f"{base}api/jobs", trust_env=False).status_code == 200
        assert httpx.post(f"{base}api/jobs", json={"task": "add"}, trust_env=False).status_code == 403
        command.process.send_signal(signal.SIGTERM)
        assert command.ends() == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "0", "127.0.0.1.evil.test", ""])
def test_it_does_not_listen_for_everybody_without_asking_who_they_are(folder: Path, host: str) -> None:
    done = run_here(folder, "dashboard", f"--host={host}", "--port=0")
    assert done.code == 2
    assert "error[E116]" in done.err
    assert "JOBSWORTH_DASHBOARD_AUTH" in done.err
    assert "see, cancel and delete" in done.err


def test_a_password_opens_the_wide_door(folder: Path) -> None:
    with running(folder, "dashboard", "--host=0.0.0.0", "--port=0", JOBSWORTH_DASHBOARD_AUTH="ada:correct horse") as it:
        base = address(it).replace("0.0.0.0", "127.0.0.1")
        assert "unencrypted" in it.err
        asked = httpx.get(f"{base}api/jobs", trust_env=False)
        assert (asked.status_code, asked.headers["www-authenticate"][:5]) == (401, "Basic")
        assert httpx.get(f"{base}api/jobs", auth=("ada", "correct horse"), trust_env=False).status_code == 200
        assert httpx.get(f"{base}api/jobs", auth=("ada", "correct hors"), trust_env=False).status_code == 401
        assert httpx.get(f"{base}livez", trust_env=False).status_code == 200


def test_a_weak_password_and_a_taken_port_are_said(folder: Path) -> None:
    weak = run_here(folder, "dashboard", "--auth=ada:short")
    assert (weak.code, "8 characters" in weak.err) == (2, True)
    with listen("127.0.0.1", 0) as sock:
        taken = run_here(folder, "dashboard", f"--port={sock.getsockname()[1]}")
    assert (taken.code, "--port" in taken.err) == (2, True)
    assert "E105" in taken.err


def test_without_uvicorn_it_says_what_to_install(folder: Path) -> None:
    (folder / "uvicorn.py").write_text("raise ImportError('not here')")
    done = run(folder, "dashboard", "--port=0", PYTHONPATH=f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert done.code == 2
    assert "jobsworth[dashboard]" in done.err


def test_who_may_is_decided_by_where_it_listens() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        assert who_may(host, None) is not None
    for host in ("0.0.0.0", "::", "10.0.0.1", "", "localhost.evil.test"):
        with pytest.raises(OpenToAll):
            who_may(host, None)
        assert who_may(host, "ada:long enough") is not None
    site = a_site(authorize=who_may("0.0.0.0", "ada:long enough", level=Level.READ, local_without=True))
    near = Client(site, base="http://localhost", client="127.0.0.1")
    assert near.get("/api/jobs").status_code == 200
    assert near.post("/api/jobs", {"task": "send", "arguments": ["a"]}).status_code == 403
    far = Client(site).get("/api/jobs")
    assert (far.status_code, far.headers["www-authenticate"][:5]) == (401, "Basic")
    strict = a_site(authorize=who_may("127.0.0.1", "ada:long enough"))
    assert Client(strict, base="http://localhost", client="127.0.0.1").get("/api/jobs").status_code == 401


def test_it_serves_on_a_thread_and_leaves_nothing_behind() -> None:
    with listen("localhost", 0) as sock:
        base, port = address_of(sock), sock.getsockname()[1]
        with served(a_site(authorize=Visitor(Level.READ)), sock):
            got = until(lambda: httpx.get(f"{base}api/queues", trust_env=False))
            assert got.status_code == 200
    with socket.socket() as again, pytest.raises(ConnectionRefusedError):
        again.connect(("127.0.0.1", port))


def test_a_host_that_is_not_here_is_said() -> None:
    with pytest.raises(BadOption):
        listen("192.0.2.1", 0)


def test_dev_has_the_page_beside_its_worker(folder: Path) -> None:
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
    with running(folder, "dev", "app.py", f"--port={port}") as command:
        base = address(command, "page")
        with httpx.Client(base_url=base, trust_env=False) as client:
            until(lambda: client.get("/livez").json()["last_turn_age"] is not None)
            made = client.post("/api/jobs", json={"task": "add", "arguments": {"a": 1, "b": 2}}).json()["id"]
            until(lambda: client.get(f"/jobs/{made}/status").json()["job"]["result"] == 3)
        command.process.send_signal(signal.SIGINT)
        assert command.ends() == 0
    assert "Traceback" not in command.err


def test_dev_works_on_where_somebody_else_has_the_port(folder: Path) -> None:
    with listen("127.0.0.1", 0) as sock, running(folder, "dev", "app.py", f"--port={sock.getsockname()[1]}") as command:
        until(lambda: "no page" in command.err, 30, command.err)
        made = run(folder, "run", "add", "1", "2", "--timeout=20")
        assert made.out.strip() == "3"
