"""The photo example's page: visitors send pictures and get what was made of them, their own and nobody else's."""

from __future__ import annotations

import asyncio
import io
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("PIL", reason="the photo example needs Pillow: pip install 'jobsworth[photos]'")
pytest.importorskip("starlette", reason="its page needs Starlette: pip install 'jobsworth[photos]'")
from PIL import Image

from photo_page import HOST, PHOTOS, PICTURES, Person, imported, served

ROCKET = (PICTURES / "rocket.jpg").read_bytes()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with imported(tmp_path, monkeypatch) as web:
        yield web


@pytest.fixture
def ada(web: Any) -> Person:
    """Somebody who has opened the page."""
    return newcomer(web)


def newcomer(web: Any) -> Person:
    person = Person(web)
    assert person.get("/").status_code == 200
    return person


def done(web: Any, *jobs: str) -> list[str]:
    """The states in which these jobs ended."""
    with web.jobs.worker():
        return [web.jobs.handle(job).wait(timeout=30).state.value for job in jobs]


def files(web: Any) -> list[Path]:
    return [path for path in web.FOLDER.rglob("*") if path.is_file()]


def nothing_has_come(web: Any) -> bool:
    return web.jobs.find(limit=None) == [] and (not web.FOLDER.exists() or list(web.FOLDER.iterdir()) == [])


def test_a_picture_goes_all_the_way(web: Any, ada: Person) -> None:
    job = ada.sent("Rakete über Kiel.jpg")
    assert ada.get("/pictures").json()["pictures"] == [{"job": job, "name": "Rakete über Kiel.jpg"}]
    assert ada.status(job)["status"] == "queued"
    assert done(web, job) == ["completed"]
    assert ada.status(job)["progress"]["percent"] == 100
    assert len(web.OUTPUTS) == 6
    for output in web.OUTPUTS:
        size, form = output.split(".")
        answer = ada.get(f"/pictures/{job}/{output}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == {"jpg": "image/jpeg", "webp": "image/webp"}[form]
        assert answer.headers["content-disposition"].startswith("attachment; filename*=utf-8''Rakete%20%C3%BCber")
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert max(picture.size) <= {"thumb": 160, "medium": 640, "large": 1280}[size]


def test_a_corrupt_picture_ends_as_failed_and_says_why(web: Any, ada: Person) -> None:
    job = ada.send("my cat.jpg", ROCKET[: len(ROCKET) // 2]).json()["job"]
    assert done(web, job) == ["failed"]
    assert "my cat.jpg is damaged: image file is truncated" in ada.status(job)["error"]["message"]
    assert ada.get(f"/pictures/{job}/thumb.jpg").status_code == 404


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("notes.txt", ROCKET, "not a kind of picture we can read"),
        ("picture.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a kind of picture"),
        ("", ROCKET, "not a kind of picture"),
        (".jpg", ROCKET, "not a kind of picture"),
        ("../..", ROCKET, "not a kind of picture"),
        ("letter.jpg", b"Dear reader, this is not a picture", "not a picture, whatever its name says"),
        ("page.png", b"<!doctype html><script>alert(1)</script>", "not a picture, whatever"),
        ("script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a picture, whatever"),
        ("sound.webp", b"RIFF\0\0\0\0WAVEfmt ", "not a picture, whatever"),
        ("empty.jpg", b"", "not a picture, whatever"),
    ],
)
def test_what_is_no_picture_is_refused_and_nothing_stays_of_it(
    web: Any, ada: Person, name: str, content: bytes, why: str
) -> None:
    answer = ada.send(name, content)
    assert (answer.status_code, why in answer.text) == (415, True), answer.text
    assert nothing_has_come(web)


def test_no_more_is_read_of_a_huge_file_than_may_come(web: Any, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "LARGEST", 3_000_000)
    came = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal came
        yield ROCKET
        while True:
            came += 100_000
            assert came < 10_000_000, "it reads on and on"
            yield bytes(100_000)

    answer = ada.send("huge.jpg", endless())
    assert (answer.status_code, answer.text) == (413, "larger than 3 MB")
    assert nothing_has_come(web)


def test_bytes_may_come_one_by_one(web: Any, ada: Person) -> None:
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "WEBP")

    async def slow() -> AsyncIterator[bytes]:
        for byte in small.getvalue():
            yield bytes([byte])

    job = ada.send("a.webp", slow()).json()["job"]
    assert done(web, job) == ["completed"]


def test_an_upload_that_breaks_off_leaves_nothing(web: Any, ada: Person) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in ada.cookies.items())
    scope = {
        "type": "http", "method": "POST", "path": "/pictures", "query_string": b"name=a.jpg", "root_path": "",
        "headers": [(b"host", HOST.encode()), (b"cookie", cookie.encode())], "http_version": "1.1", "scheme": "http",
    }  # fmt: skip
    messages = iter([
        {"type": "http.request", "body": ROCKET[:50_000], "more_body": True},
        {"type": "http.disconnect"},
    ])  # fmt: skip

    async def receive() -> Any:
        return next(messages)

    async def send(_: Any) -> None:
        pass

    asyncio.run(web.app(scope, receive, send))  # raises nothing that a server would complain of
    assert nothing_has_come(web)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../../etc/passwd.jpg", "passwd.jpg"),
        ("..\\..\\boot.jpg", "boot.jpg"),
        ("/etc/shadow.png", "shadow.png"),
        ("...hidden.jpg", "hidden.jpg"),
        ("a\0b\r\nc\u202egpj.jpg", "abcgpj.jpg"),
        ("-rf.jpg", "-rf.jpg"),
        ("ü" * 200 + ".jpg", "ü" * 73 + ".jpg"),
    ],
)
def test_a_name_leads_nowhere_else(web: Any, ada: Person, given: str, kept: str) -> None:
    job = ada.sent(given)
    assert [picture["name"] for picture in ada.get("/pictures").json()["pictures"]] == [kept]
    assert done(web, job) == ["completed"]
    assert ada.get(f"/pictures/{job}/large.webp").status_code == 200
    assert len(files(web)) == 7
    assert len(list(web.FOLDER.iterdir())) == 1, "all in one folder"


def test_two_pictures_of_one_name_do_not_meet(web: Any, ada: Person) -> None:
    other = (PICTURES / "coffee.jpg").read_bytes()
    first, second = ada.sent("a.jpg"), ada.send("a.jpg", other).json()["job"]
    assert done(web, first, second) == ["completed", "completed"]
    thumbs = [ada.get(f"/pictures/{job}/thumb.jpg").content for job in (first, second)]
    assert thumbs[0] != thumbs[1]


def test_somebody_elses_picture_is_not_there(web: Any, ada: Person) -> None:
    job, waiting = ada.sent(), ada.sent("later.jpg")
    with web.jobs.worker():
        web.jobs.handle(job).wait(timeout=30)
    mallory = newcomer(web)
    assert mallory.get("/pictures").json()["pictures"] == []
    assert mallory.get(f"/pictures/{job}/thumb.jpg").status_code == 404
    assert mallory.status(job) == 404
    assert mallory.get(f"/background/jobs/{job}/events").status_code == 404
    assert mallory.post(f"/background/jobs/{waiting}/cancel", json={}).status_code == 404
    assert mallory.get("/background/api/jobs").status_code == 404
    assert ada.status(job)["status"] == "completed"
    assert ada.status(waiting)["cancel_requested"] is False


def test_nobody_is_somebody_without_the_cookie(web: Any, ada: Person) -> None:
    job = ada.sent()
    assert done(web, job) == ["completed"]
    stranger, forger, herself = Person(web), Person(web), Person(web)
    name, value = next(iter(ada.cookies.items()))
    head, dot, signature = value.rpartition(".")
    herself.cookies.set(name, value, domain=HOST)
    forger.cookies.set(name, head + dot + signature[::-1], domain=HOST)
    assert herself.status(job)["status"] == "completed"
    for person in (stranger, forger):
        assert person.get("/pictures").status_code == 401
        assert person.send("a.jpg", ROCKET).status_code == 401
        assert person.get(f"/pictures/{job}/thumb.jpg").status_code == 401
        assert person.status(job) == 401
    assert len(web.jobs.find(limit=None)) == 1


def test_the_cookie_is_for_the_server_alone(web: Any) -> None:
    answer = Person(web).get("/")
    said = answer.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=lax" in said


@pytest.mark.parametrize("where", ["cross-site", "same-site", "none"])
def test_another_sites_page_sends_nothing(web: Any, ada: Person, where: str) -> None:
    assert ada.send("a.jpg", ROCKET, headers={"sec-fetch-site": where}).status_code == 403
    assert nothing_has_come(web)
    assert ada.send("a.jpg", ROCKET, headers={"sec-fetch-site": "same-origin"}).status_code == 201


def test_it_answers_to_its_own_name_only(web: Any) -> None:
    assert Person(web).get("/", host="evil.test").status_code == 400


def test_an_address_only_chooses_among_what_was_made(web: Any, ada: Person) -> None:
    job = ada.sent()
    assert done(web, job) == ["completed"]
    assert ada.get(f"/pictures/{job}/thumb.jpg").status_code == 200
    for output in (
        "rocket.jpg", "huge.jpg", "thumb", "thumb.png", ".jpg", "%2e%2e", "..%2frocket.jpg", "..%2F..%2Fjobs.db",
        "%2e%2e%5cjobs.db", "thumb.jpg%00", "thumb%2frocket.jpg", "%2fetc%2fpasswd", "THUMB.jpg",
    ):  # fmt: skip
        assert ada.get(f"/pictures/{job}/{output}").status_code == 404, output


@pytest.mark.parametrize("job", ["nobody", "%2e%2e", "a%00b", "%20", "'%20or%201=1--", "x" * 5000])
def test_a_job_that_cannot_be_is_not_there(web: Any, ada: Person, job: str) -> None:
    assert ada.get(f"/pictures/{job}/thumb.jpg").status_code == 404


@pytest.mark.parametrize(
    "path", ["%2e%2e/web.py", "..%2fweb.py", "%2e%2e%2f%2e%2e%2f%2e%2e%2fpyproject.toml", "%2fetc%2fpasswd"]
)
def test_the_pages_files_are_all_there_is_of_the_disk(web: Any, path: str) -> None:
    assert Person(web).get(f"/page/{path}").status_code == 404


def test_only_pictures_jobs_give_files(web: Any, ada: Person, tmp_path: Path) -> None:
    """Another task's result may hold paths, too; these are nobody's to download."""
    first = ada.sent()
    assert done(web, first) == ["completed"]
    owner = web.jobs.handle(first).job.owner
    secret = tmp_path / "thumb" / "secret.jpg"
    secret.parent.mkdir()
    secret.write_bytes(ROCKET)

    @web.jobs.task(name="paths")
    def paths() -> list[str]:
        return [str(secret)]

    job = paths.options(owner=owner).enqueue().id
    assert done(web, job) == ["completed"]
    assert ada.status(job)["status"] == "completed"
    assert ada.get(f"/pictures/{job}/thumb.jpg").status_code == 404


def test_what_has_been_taken_away_from_the_disk_is_not_there(web: Any, ada: Person) -> None:
    job = ada.sent()
    assert done(web, job) == ["completed"]
    for path in files(web):
        path.unlink()
    assert ada.get(f"/pictures/{job}/thumb.jpg").status_code == 404


def test_a_visitor_cancels_what_is_theirs(web: Any, ada: Person) -> None:
    job = ada.sent()
    answer = ada.post(f"/background/jobs/{job}/cancel", json={"reason": "the wrong one"})
    assert answer.json()["accepted"] is True
    assert ada.status(job)["status"] == "cancelled"
    assert ada.get(f"/pictures/{job}/thumb.jpg").status_code == 404


def test_one_visitor_does_not_fill_the_disk(web: Any, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MOST", 2)
    assert [ada.send(f"{n}.jpg", ROCKET).status_code for n in range(4)] == [201, 201, 429, 429]
    assert len(files(web)) == 2
    assert newcomer(web).send("a.jpg", ROCKET).status_code == 201


def test_a_full_queue_says_so_and_keeps_nothing(web: Any, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web.images, "max_size", 1)
    assert ada.send("a.jpg", ROCKET).status_code == 201
    answer = newcomer(web).send("b.jpg", ROCKET)
    assert (answer.status_code, "try again" in answer.text) == (503, True)
    assert [path.name for path in files(web)] == ["a.jpg"]
    assert len(list(web.FOLDER.iterdir())) == 1


@pytest.mark.parametrize("path", ["/", "/pictures", "/page/page.js", "/nothing", "/background/livez", "/pictures/a/b"])
def test_every_answer_is_strict_with_the_browser(web: Any, ada: Person, path: str) -> None:
    headers = ada.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_page_finds_all_its_files_and_has_nothing_inline(web: Any, ada: Person) -> None:
    page = ada.get("/").text
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) == 3
    for file in files:
        assert ada.get(f"/{file}").status_code == 200
    assert "style=" not in page
    assert "<style" not in page
    assert re.search(r"<script(?![^>]*src=)", page) is None
    assert re.search(r"\son\w+=", page) is None
    script = ada.get("/page/page.js")
    assert "javascript" in script.headers["content-type"]
    assert "innerHTML" not in script.text
    (module,) = re.findall(r'import "\.\.(/[^"]+)"', script.text)
    assert ada.get(module).status_code == 200


def test_the_example_is_short_enough_to_be_read() -> None:
    lines = (PHOTOS / "web.py").read_text().splitlines()
    assert len(lines) <= 170


def test_it_is_served_by_itself_and_ends_though_somebody_looks_on(tmp_path: Path) -> None:
    with served(tmp_path, pace=0.2) as page, httpx.Client(base_url=page.url, trust_env=False) as browser:
        assert browser.get("/").status_code == 200
        assert browser.post("/pictures", params={"name": "a.jpg"}, content=ROCKET).status_code == 201
        with browser.stream("GET", "/background/events") as stream:  # of all that is theirs, which never ends
            lines = stream.iter_lines()  # held on to: without readers there is no stream
            assert any('"running"' in line for line in lines)
            page.process.send_signal(signal.SIGTERM)  # uvicorn takes SIGINT the same way
            code = page.ends(within=20)
    assert code == 0, page.said
    assert "traceback" not in page.said.lower()
    assert "error" not in page.said.lower()
