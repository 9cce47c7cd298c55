"""SPRAG applications as their own command line makes and serves them, with jobsworth's queue instead of SPRAG's."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from private_server import Server
from undertaker import Undertaker

ROOT = Path(__file__).parent.parent.parent
THEIRS, OURS = "from sprag import QueueService, bus", "from jobsworth.integrations.sprag import QueueService"


class Site(Server):
    """`sprag dev` for the project in `folder`, at `url`."""

    name = "sprag"
    programs = (sys.executable,)
    package = formula = "python3"
    politely: ClassVar[signal.Signals] = signal.SIGINT  # what it understands as the wish to end

    def __init__(self, undertaker: Undertaker, project: Path, *options: str, **environment: str) -> None:
        self.project = project
        self._options, self._environment = options, environment
        super().__init__(undertaker)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _surroundings(self) -> dict[str, Any]:
        return {**super()._surroundings(), "cwd": self.project, "env": self.surroundings()}

    def surroundings(self) -> dict[str, str]:
        """The environment of this site's processes."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBSWORTH")}
        path = os.pathsep.join(filter(None, sys.path))
        return {**environment, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **self._environment}

    def _command(self) -> list[str]:
        return [str(self.program), "-m", "sprag", "dev", "--port", str(self.port), "--interval", "3600", *self._options]

    def _answers(self) -> bool:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection:
            connection.request("GET", "/")
            return connection.getresponse().status == 200


def labs(folder: Path) -> Path:
    """`sprag new labs --template labs`, with that one import changed."""
    command = [sys.executable, "-m", "sprag", "new", "labs", "--template", "labs", "--output-dir", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    path = folder / "labs" / "app" / "services" / "job_queue.py"
    text = path.read_text()
    assert text.count(THEIRS) == 1
    path.write_text(text.replace(THEIRS, f"from sprag import bus\n{OURS}"))
    return folder / "labs"


def example(folder: Path) -> Path:
    """A copy of examples/sprag."""
    return Path(shutil.copytree(ROOT / "examples" / "sprag", folder / "example"))


# The program of the issue that asked for this, word for word; around it what any SPRAG project has, and pictures that
# are text files.
QUEUE = """
class ImageQueue(QueueService):
    name = "image_processing"
    worker_count = 4

    def handle_item(self, item):
        file_path = item["file_path"]
        resize_to = item.get("resize_to", (800, 600))
        self.report_progress(current=1, total=3, message="Loading image...")
        image = load_image(file_path)
        self.check_cancelled()
        self.report_progress(current=2, total=3, message="Resizing...")
        resized = resize(image, resize_to)
        self.report_progress(current=3, total=3, message="Saving...")
        return {"output": save(resized)}

app = App(routes="app.routes", shell=app_shell, providers={"image_processing": ImageQueue()})
"""
CONTROLLER = """
class UploadController(Controller):
    @action(schema=Schema("upload_image", {"file_path": Field(str, required=True)}))
    def upload_image(self, file_path):
        return self.enqueue("image_processing", {"file_path": file_path, "resize_to": (1200, 800)})

    @action(name="job_status", schema=Schema("job_status", {"job_id": Field(str, required=True)}))
    def queue_status(self, job_id):
        return self.job_status("image_processing", job_id)

    @action(schema=Schema("cancel_job", {"job_id": Field(str, required=True)}))
    def cancel_job(self, job_id):
        return self.request_job_cancel("image_processing", job_id)
"""
MODULE = """
class UploadModule(Module):                      # runs in the browser
    def on_start(self):
        self.on_socket("sprag:queue.job.changed", self._on_job_update)
    def _on_job_update(self, data):
        if data.get("job_id") == self.state.get("job_id"):
            self.call_action("job_status", {"job_id": data["job_id"]}).then(self._on_status)
    def _on_status(self, result):
        self.set_state(result.value or {})
"""
FILES = {
    "app/__init__.py": f'''
import time
from pathlib import Path
from sprag import App, shell
{OURS}

app_shell = shell(template="app/shell.html")

def load_image(file_path):
    while not Path("go").exists():
        time.sleep(0.01)
    return Path(file_path).read_text()

def resize(image, resize_to):
    return f"{{image}} at {{resize_to}}"

def save(resized):
    return resized
{QUEUE}''',
    "app/shell.html": "<main>{{ sprag_slot }}</main>\n",
    "app/routes/__init__.py": "",
    "app/routes/home/__init__.py": "",
    "app/routes/home/server.py": f'''
from sprag import Controller, Field, Schema, action
{CONTROLLER}
class HomeController(UploadController):
    def load(self):
        job = self.queue("image_processing").latest_job(session_id=self.request.session_id) or {{}}
        return {{"job_id": job.get("id"), "job": job}}
''',
    "app/routes/home/modules.py": f"from sprag import Module\n\n{MODULE}",
    "app/routes/home/components.py": '''
from sprag import Component, ui


class Card(Component):
    def render(self, props=None):
        job = self.state.get("job") or {}
        result = job.get("result") or {}
        return ui.p(job.get("status", "none") + ": " + job.get("message", "") + " " + result.get("output", ""))
''',
    "app/routes/home/web.py": '''
from sprag import Screen, hydrate

from .components import Card
from .modules import UploadModule


class Home(Screen):
    modules = [UploadModule]

    def render(self, data):
        module = self.module(UploadModule)
        module.set_state(data)
        return hydrate(Card, module=module)
''',
    "app/routes/home/page.py": '''
from sprag import page

from .server import HomeController
from .web import Home

home = page(path="/", controller=HomeController, screen=Home, mode="hybrid")
''',
}  # fmt: skip


def program(folder: Path) -> Path:
    """A project around the program."""
    for name, text in FILES.items():
        path = folder / "program" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "program" / "a.png").write_text("a picture")
    return folder / "program"


ASK = """([action, payload]) => fetch("/__sprag__/actions", {
  method: "POST", headers: {"Content-Type": "application/json"},
  body: JSON.stringify({route: location.pathname, action, payload}),
}).then((answer) => answer.json())"""
