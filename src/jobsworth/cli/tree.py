"""Which commands there are, and how their help looks. Each command's module is loaded when it is used."""

from __future__ import annotations

from cyclopts import App, Group

from .helping import Help

RUNNING = Group("Run jobs", sort_key=1)
ASKING = Group("Look", sort_key=2)
CHANGING = Group("Change", sort_key=3)
KEEPING = Group("Look after it", sort_key=4)
_HERE = __package__

OVERVIEW = """Background jobs for Python web apps, done by the book.

For example:
  jobsworth dev app.py                  work, and start again when a file changes
  jobsworth run add 1 2                 enqueue, wait, print the result
  jobsworth status                      is anything wrong?

Exit codes: 0 done, 1 the job failed or was cancelled, 2 the command or the configuration is wrong,
3 the engine cannot be reached, 4 time is up, 130 Ctrl-C.
"""

COMMANDS: tuple[tuple[str, str, Group], ...] = (
    ("dev", "dev:dev", RUNNING),
    ("worker", "work:worker", RUNNING),
    ("run", "act:run", RUNNING),
    ("enqueue", "act:enqueue", RUNNING),
    ("status", "status:status", ASKING),
    ("top", "top:top", ASKING),
    ("list", "look:list_jobs", ASKING),
    ("show", "look:show", ASKING),
    ("why", "why:why", ASKING),
    ("watch", "look:watch", ASKING),
    ("workers", "look:workers", ASKING),
    ("dashboard", "dashboard:dashboard", ASKING),
    ("stats", "stats:stats", ASKING),
    ("cancel", "operate:cancel", CHANGING),
    ("retry", "operate:retry", CHANGING),
    ("dead", "dead:family", CHANGING),
    ("queues", "queues:family", CHANGING),
    ("migrate", "upkeep:migrate", KEEPING),
    ("move-engine", "move:move_engine", KEEPING),
    ("doctor", "upkeep:doctor", KEEPING),
    ("bench", "upkeep:bench", KEEPING),
    ("celery-check", "jobsworth.integrations.celery.check:celery_check", KEEPING),
    ("version", "upkeep:version", KEEPING),
)


def tree(*, whole: bool = False) -> App:
    """The command `jobsworth`. `whole`: with every command's module loaded, as its help needs it."""
    app = family("jobsworth", OVERVIEW, Group("Commands", show=False))  # only --help would be left in it
    for order, (name, place, group) in enumerate(COMMANDS):
        where = place if place.startswith("jobsworth.") else f"{_HERE}.{place}"  # an integration's own
        app.command(where, name=name, group=group, sort_key=order)
        if whole:
            app[name]
    return app


def family(name: str, about: str, commands: Group = Group("Commands", sort_key=0)) -> App:  # noqa: B008 (a value)
    """A command with commands of its own."""
    return App(
        name=name, help=about, help_format="plaintext", help_formatter=Help(), version_flags=(),
        result_action="return_value",
        group_commands=commands, group_parameters=Group("Options", sort_key=5), print_error=False, exit_on_error=False,
        suppress_keyboard_interrupt=False,
    )  # fmt: skip
