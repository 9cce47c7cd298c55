"""Whether and when a failed job is tried again."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobsworth.errors import BadOption, GiveUp
from jobsworth.retry import NEVER, Retry

# The largest number random() can give is a hair under one.
ALMOST_ONE = 1.0 - 2**-53


def test_without_jitter_the_wait_is_the_bound_itself() -> None:
    retry = Retry(base=2, factor=3, cap=50, jitter=False)
    assert [retry.delay(errors) for errors in (1, 2, 3, 4, 5)] == [2, 6, 18, 50, 50]


def test_full_jitter_reaches_from_nothing_to_the_bound() -> None:
    retry = Retry(base=2, factor=3, cap=50)
    assert retry.delay(3, lambda: 0.0) == 0.0
    assert retry.delay(3, lambda: 0.5) == 9.0
    assert retry.delay(3, lambda: ALMOST_ONE) == pytest.approx(18)


def test_jitter_spreads_a_herd_evenly() -> None:
    retry, draw = Retry(base=8, factor=2, cap=600), random.Random(7).random
    waits = [retry.delay(1, draw) for _ in range(8_000)]
    buckets = [sum(start <= wait < start + 1 for wait in waits) for start in range(8)]
    assert sum(buckets) == len(waits)
    assert all(850 < bucket < 1150 for bucket in buckets)


@given(
    errors=st.integers(0, 10**9),
    base=st.floats(0, 1e6),
    factor=st.floats(1, 1e3),
    cap=st.floats(0, 1e9),
    drawn=st.floats(0, ALMOST_ONE),
    jitter=st.booleans(),
)
def test_no_wait_is_ever_negative_or_over_the_cap(
    errors: int, base: float, factor: float, cap: float, drawn: float, jitter: bool
) -> None:
    retry = Retry(base=base, factor=factor, cap=cap, jitter=jitter)
    assert 0.0 <= retry.delay(errors, lambda: drawn) <= cap


@given(base=st.floats(0.001, 1e3), factor=st.floats(1, 10), cap=st.floats(0, 1e6))
def test_bounds_never_shrink_from_one_failure_to_the_next(base: float, factor: float, cap: float) -> None:
    retry = Retry(base=base, factor=factor, cap=cap, jitter=False)
    bounds = [retry.delay(errors) for errors in range(1, 80)]
    assert bounds == sorted(bounds)


def test_every_exception_is_tried_again_by_default_but_not_what_ends_a_program() -> None:
    assert not Retry().gives_up_on(ValueError())
    assert Retry().gives_up_on(KeyboardInterrupt())
    assert Retry().gives_up_on(GiveUp("no use"))


def test_only_what_is_named_is_tried_again() -> None:
    retry = Retry(retry_on=(OSError,))
    assert not retry.gives_up_on(ConnectionResetError())
    assert retry.gives_up_on(ValueError())


def test_giving_up_goes_before_trying_again() -> None:
    retry = Retry(retry_on=(OSError,), give_up_on=(PermissionError,))
    assert retry.gives_up_on(PermissionError())
    assert not retry.gives_up_on(OSError())


def test_one_exception_may_be_named_without_a_tuple() -> None:
    one: Any = KeyError
    retry = Retry(retry_on=one, give_up_on=one)
    assert (retry.retry_on, retry.give_up_on) == ((KeyError,), (KeyError,))


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 0}, {"max_crashes": 0}, {"base": -0.1}, {"factor": 0.5}, {"cap": -1},
        {"retry_on": ("ValueError",)}, {"give_up_on": (int,)}, {"retry_on": (ValueError(),)},
    ],
    ids=str,
)  # fmt: skip
def test_an_option_that_makes_no_sense_is_refused_by_its_name(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption, match=next(iter(options))) as refused:
        Retry(**options)
    assert refused.value.code == "E105"


@pytest.mark.parametrize("name", ["base", "factor", "cap"])
def test_a_number_that_is_no_number_is_refused(name: str) -> None:
    options: dict[str, Any] = {name: float("nan")}
    with pytest.raises(BadOption, match=name):
        Retry(**options)


def test_never_means_one_attempt() -> None:
    assert NEVER.max_attempts == 1
