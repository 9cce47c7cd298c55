"""One script of calls for two classes, SPRAG's own QueueService and ours, and what each of them answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from specter import registry

Answers = list[tuple[str, Any]]
ENDED = ("completed", "failed", "cancelled")


def turning(fact: Callable[[], Any], within: float = 20.0) -> Any:
    """What `fact()` gives once that is true; gevent's hub turns meanwhile."""
    with gevent.Timeout(within):
        while not (seen := fact()):
            gevent.sleep(0.01)
    return seen


class Transport:
    """In the place of SPRAG's own: what is sent to browsers, and to which."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any, dict[str, Any]]] = []

    def __enter__(self) -> Transport:
        registry.provide("socket_transport", self, replace=True)
        return self

    def __exit__(self, *exc: object) -> None:
        registry.unregister("socket_transport")

    def emit(self, event: str, data: Any, **target: Any) -> bool:
        self.sent.append((event, data, target))
        return True


def timeless(answer: Any) -> Any:
    """The same without moments."""
    if isinstance(answer, dict):
        return {key: type(value) if key.endswith("_at") else timeless(value) for key, value in answer.items()}
    return [timeless(each) for each in answer] if isinstance(answer, (list, tuple)) else answer


def without_pending(answer: Any) -> Any:
    """A job that is cancelled while it waits leaves our queue at once, and SPRAG's when its turn has come."""
    return {**answer, "queue": {key: value for key, value in answer["queue"].items() if key != "pending"}}


def demo(base: type[Any], **options: Any) -> tuple[Any, Answers]:  # noqa: C901 (one class of many words)
    """A queue whose items say what to do with them."""
    answers: Answers = []

    class Demo(base):
        go_on = False
        begun = ""

        def __init__(self) -> None:
            super().__init__("demo", worker_count=1, maxsize=10, initial_state={"seen": 0}, **options)

        def handle_item(self, item: Any) -> Any:
            self.set_state({"seen": self.state["seen"] + 1})
            return getattr(self, item["do"])()

        def say(self, what: str, answer: Any) -> None:
            answers.append((what, timeless(answer)))

        def steps(self) -> Any:
            for step in range(1, 4):
                self.check_cancelled()
                self.say("progress", self.report_progress(current=step, total=3, message=f"step {step}"))
            return {"done": True, "list": [1, 2.5, None]}

        def percent(self) -> Any:
            self.say("percent", self.report_progress(percent=40.7, result={"half": 1}))
            self.say("bounded", self.report_progress(percent=140, message="nearly"))
            self.say("more", self.report_progress(current=5))
            self.say("requested", self.cancel_requested())
            return "whole"

        def breaks(self) -> Any:
            self.report_progress(current=1, total=4)
            raise ValueError("boom")

        def completes(self) -> Any:
            self.say("complete_job", self.complete_job(result={"early": 1}, message="Done early."))
            return "not this"

        def fails(self) -> Any:
            self.say("fail_job", self.fail_job(error="no good", message="Sorry."))

        def cancels(self) -> Any:
            self.say("cancel_job", self.cancel_job())

        def waits(self) -> Any:
            self.report_progress(percent=50, message="waiting")
            self.begun = "waits"
            turning(self.cancel_requested)
            turning(lambda: self.go_on)
            self.check_cancelled(message="Told to stop.")

        def ignores(self) -> Any:
            self.begun = "ignores"
            turning(self.cancel_requested)
            turning(lambda: self.go_on)
            return "too late"

        def plain(self) -> Any:
            try:
                self.report_progress(percent=1)
            except RuntimeError:
                self.say("plain", "no job")

    return Demo(), answers


def run(base: type[Any], **options: Any) -> tuple[Answers, int]:
    """Ask everything; what was answered, and how often browsers were told of the first job."""
    queue, answers = demo(base, **options)
    say = queue.say
    with Transport() as transport:
        say("empty", queue.queue_snapshot())
        say("none", [queue.pending_count(), queue.get_job("no"), queue.get_job(None), queue.latest_job()])
        say("missing", queue.request_cancel("no"))
        whose = {"route": "/r", "session_id": "s", "client_id": "c", "topic": "t"}
        say("whole", queue.enqueue_job({"do": "steps"}, job_id="steps", label=" One ", meta={"k": [1]}, **whose))
        for name in ("percent", "breaks", "completes", "fails", "cancels", "ignores", "waits"):
            say("short", queue.enqueue_job({"do": name}, job_id=name))
        say("plain", queue.enqueue({"do": "plain"}))
        say("cancelled", queue.enqueue_job({"do": "steps"}, job_id="cancelled", label="Never"))
        say("full", [queue.enqueue({"do": "plain"}), queue.enqueue_job({"do": "steps"}, job_id="full", session_id="s")])
        say("full", queue.get_job("full"))
        say("latest", [queue.latest_job(), queue.latest_job(session_id="s"), queue.latest_job(session_id="t")])
        say("cancel", without_pending(queue.request_cancel("cancelled", message="Not this one.")))
        queue.start()
        try:
            for name in ("ignores", "waits"):
                turning(lambda name=name: queue.begun == name)
                queue.go_on = False
                say("cancel running", without_pending(queue.request_cancel(name)))
                queue.go_on = True
            names = ("steps", "percent", "breaks", "completes", "fails", "cancels", "ignores", "waits", "cancelled")
            turning(lambda: all(queue.get_job(name)["status"] in ENDED for name in names))
            turning(lambda: queue.queue_snapshot() == {"pending": 0, "active": 0, "active_jobs": [], "workers": 1})
            turning(lambda: queue.state["seen"] >= 9)
            say("ended", [queue.get_job(name) for name in names])
            say("too late", queue.request_cancel("steps"))
            say("result", [queue.job_action_result(job_id="steps"), queue.job_action_result(job=None, message="?")])
            for outside in (queue.report_progress, queue.cancel_requested, queue.check_cancelled, queue.complete_job):
                try:
                    outside()
                except RuntimeError:
                    say("outside", "RuntimeError")
            told = sum(each[1]["job_id"] == "steps" for each in transport.sent)
            transport.sent.clear()
            say("signal", [queue.emit_job_signal("steps"), queue.emit_job_signal("no")])
            say("signal", queue.emit_job_signal("breaks", event="mine", payload={"more": 1}))
            say("sent", [each for each in transport.sent if each[1]["job_id"] in ("steps", "breaks")])
            say("state", sorted(queue.get_state()))
        finally:
            queue.stop()
    return answers, told
