"""The async twins of the dead letters, and the key a handler passes to other systems."""

from __future__ import annotations

import asyncio

from jobsworth import Jobsworth, State, current_job


def test_two_jobs_never_share_an_idempotency_key_although_a_key_may_be_used_again() -> None:
    jobs = Jobsworth("memory://")

    @jobs.task
    def charge() -> str:
        return current_job().idempotency_key

    with jobs.worker(listener=lambda event: None):
        first = charge.options(key="order-7").enqueue()
        one = first.result(timeout=20)
        second = charge.options(key="order-7").enqueue()
        assert second.created
        assert second.result(timeout=20) != one
    jobs.close()


def test_an_idempotency_key_is_the_same_in_every_attempt() -> None:
    jobs = Jobsworth("memory://")
    seen: list[str] = []

    @jobs.task
    def charge() -> None:
        seen.append(current_job().idempotency_key)
        if len(seen) == 1:
            raise jobs.queues["default"].retry(countdown=0)

    with jobs.worker(listener=lambda event: None):
        charge.enqueue().wait(timeout=20)
    assert len(seen) == 2
    assert seen[0] == seen[1]
    jobs.close()


def test_dead_letters_answer_coroutines_as_they_answer_threads() -> None:
    jobs = Jobsworth("memory://")

    @jobs.task
    def send(number: int) -> int:
        return number

    async def story() -> None:
        letters = jobs.dead_letters()
        first = await letters.apush(send, (1,), "the mail server was gone")
        await letters.apush(send, (2,), ValueError("no"))
        assert await letters.acount() == 2
        assert {job.id for job in await letters.alist()} == {job.id for job in letters.list()}
        assert (await letters.aget(first)).args == b'{"number":1}'
        assert await letters.aredrive(first, dry_run=True) == [first]
        assert await letters.aredrive(first, arguments={"number": 9}) == [first]
        assert jobs.handle(first).job.args == b'{"number":9}'
        assert jobs.handle(first).state is State.QUEUED
        assert await letters.adiscard(dry_run=True) == 1
        assert await letters.adiscard() == 1
        assert await letters.acount() == 0

    asyncio.run(story())
    jobs.close()
