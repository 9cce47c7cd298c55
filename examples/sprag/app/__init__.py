"""Pictures that are made smaller in the background: the application. docs/sprag.md walks through it."""

from sprag import App, shell

from app.queues import images

app_shell = shell(template="app/shell.html", css=["app/shell.css"])

app = App(routes="app.routes", shell=app_shell, providers={"image_processing": images})
