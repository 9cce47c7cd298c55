"""`retrying`: a plain coroutine function is called again as a job would be."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jobsworth import Cancelled, GiveUp, Retry, RetryAfter, Snooze, retrying
from jobsworth.errors import BadOption

AT_ONCE = Retry(max_attempts=3, base=0)


class Shaky:
    """Fails with these, one after the other, and then returns what it was given."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.calls = 0
        self.called = asyncio.Event()

    async def __call__(self, value: int, *, plus: int = 0) -> int:
        self.calls += 1
        self.called.set()
        if self.failures:
            raise self.failures.pop(0)
        return value + plus


def made(retry: Retry, shaky: Shaky) -> Any:
    async def call(value: int, *, plus: int = 0) -> int:
        """Docs."""
        return await shaky(value, plus=plus)

    return retrying(retry)(call)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were slept, which take no time."""
    slept: list[float] = []
    really = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await really(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


def test_what_fails_is_called_again_with_the_same_arguments() -> None:
    shaky = Shaky(OSError("once"), OSError("twice"))
    assert asyncio.run(made(AT_ONCE, shaky)(40, plus=2)) == 42
    assert shaky.calls == 3


def test_the_last_failure_is_raised_when_no_attempt_is_left() -> None:
    shaky = Shaky(*(OSError(str(n)) for n in range(5)))
    with pytest.raises(OSError, match="2"):
        asyncio.run(made(AT_ONCE, shaky)(1))
    assert shaky.calls == 3


def test_it_waits_as_the_policy_says(waits: list[float]) -> None:
    policy = Retry(max_attempts=5, base=1, factor=3, cap=20, jitter=False)
    asyncio.run(made(policy, Shaky(*(OSError() for _ in range(4))))(1))
    assert waits == [1, 3, 9, 20]


def test_retry_after_says_how_long_to_wait(waits: list[float]) -> None:
    policy = Retry(max_attempts=3, base=5, jitter=False, retry_on=(OSError,))
    asyncio.run(made(policy, Shaky(RetryAfter(30), RetryAfter()))(1))
    assert waits == [30, 10]


@pytest.mark.parametrize("exc", [ValueError("no"), GiveUp("no"), Cancelled("no"), Snooze(1), KeyError("given up on")])
def test_what_is_not_tried_again_is_raised_at_once(exc: Exception) -> None:
    shaky = Shaky(exc)
    policy = Retry(base=0, retry_on=(LookupError, Cancelled, Snooze), give_up_on=(KeyError,))
    with pytest.raises(type(exc)):
        asyncio.run(made(policy, shaky)(1))
    assert shaky.calls == 1


def test_cancelling_it_ends_it_while_it_waits() -> None:
    async def main() -> float:
        shaky = Shaky(OSError())
        running = asyncio.create_task(made(Retry(base=600, jitter=False), shaky)(1))
        await shaky.called.wait()
        began = time.monotonic()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert shaky.calls == 1
        return time.monotonic() - began

    assert asyncio.run(main()) < 60


def test_it_keeps_the_functions_name_and_words() -> None:
    call = made(AT_ONCE, Shaky())
    assert (call.__name__, call.__doc__) == ("call", "Docs.")


def test_what_cannot_be_awaited_or_is_no_policy_is_refused() -> None:
    with pytest.raises(BadOption, match="async def"):
        retrying(AT_ONCE)(lambda: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(BadOption, match="takes a Retry"):
        retrying(3)  # type: ignore[arg-type]
