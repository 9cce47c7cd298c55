"""What the disk does: it fills up, and the write-ahead log wants to grow."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from crew import LONG, Crew

from jobsworth import State, StorageFull
from waiting import until

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "jobsworth-fire", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"NOT TESTED: a full disk needs the right to mount one: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # lazily: a failed test may hold a file


def test_a_full_disk_loses_nothing_and_the_worker_recovers_by_itself(
    tmp_path: Path, small_disk: Path, seed: int
) -> None:
    crew = Crew(tmp_path, f"sqlite:///{small_disk / 'jobs.db'}")
    try:
        _fill_and_free(crew, small_disk)
    finally:
        crew.close()


def _fill_and_free(crew: Crew, disk: Path) -> None:
    worker = crew.worker(lease=2, queues={"default": 2})
    held = crew.app.held.enqueue_many([("go",)] * 2)
    acked = {handle.id for handle in held}
    until(lambda: all(handle.progress for handle in held))
    (disk / "ballast").write_bytes(b"x" * (20 * MIB))
    with pytest.raises(StorageFull, match=r"(?s)E501.*free some space"):
        _fill(crew, acked)
    # Smaller and smaller, until nothing at all goes in any more: the worker cannot write either.
    refused = 0
    while refused < 20:
        try:
            acked.add(crew.app.quick.enqueue(len(acked)).id)
        except StorageFull:
            refused += 1
    assert {job.id for job in crew.all_jobs()} == acked  # reading still works
    (crew.folder / "go.1").touch()  # the running jobs end while their ends cannot be written down
    until(lambda: "does not answer" in crew.log(worker) and "disk is full" in crew.log(worker))
    time.sleep(2.5)  # longer than the lease: the leases cannot be renewed, and cannot be taken either
    assert worker.poll() is None
    (disk / "ballast").unlink()
    late = crew.app.quick.enqueue(0)
    acked.add(late.id)
    jobs = crew.finish()
    assert "the engine is back" in crew.log(worker)
    assert {job.id for job in jobs} == acked
    assert {job.state for job in jobs} == {State.COMPLETED}
    assert [handle.refresh().job.attempt for handle in held] == [1, 1]
    assert crew.terminate(worker) == 0
    crew.check(acked, slots={"default": 2})
    crew.jobs.close()
    with sqlite3.connect(disk / "jobs.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def _fill(crew: Crew, acked: set[str]) -> None:
    while True:
        acked.add(crew.app.quick.options(meta={"x": "x" * random.randrange(100, 60_000)}).enqueue(len(acked)).id)


def test_a_database_that_may_not_grow_refuses_whole_batches(crew: Crew) -> None:
    """The same promise where nobody may mount anything: SQLite itself is told the disk ends here."""
    task = crew.app.quick
    acked = {task.enqueue(0).id}
    with crew.jobs.engine._store.glancing() as connection:  # type: ignore[attr-defined]
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 40}")

    def fill() -> None:
        while True:
            acked.update(handle.id for handle in task.enqueue_many([(n,) for n in range(50)]))

    with pytest.raises(StorageFull, match="E501"):
        fill()
    assert {job.id for job in crew.all_jobs()} == acked
    with crew.jobs.engine._store.glancing() as connection:  # type: ignore[attr-defined]
        connection.execute(f"PRAGMA max_page_count = {1 << 30}")
    acked |= {handle.id for handle in task.enqueue_many([(n,) for n in range(50)])}
    assert {job.id for job in crew.all_jobs()} == acked


def test_the_write_ahead_log_stays_small_under_load_with_readers(crew: Crew) -> None:
    wal = crew.folder / "jobs.db-wal"
    crew.worker(lease=10)
    stop = threading.Event()
    largest = 0

    def read_all_the_time() -> None:
        while not stop.is_set():
            crew.jobs.queue_snapshot("default")
            crew.jobs.find(limit=200)

    def read_from_outside() -> None:
        """An operator's shell: its own connection, with transactions that last a while."""
        connection = sqlite3.connect(crew.folder / "jobs.db", isolation_level=None)
        while not stop.is_set():
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM jobsworth_jobs").fetchone()
            stop.wait(0.2)
            connection.execute("ROLLBACK")
        connection.close()

    readers = [threading.Thread(target=read_all_the_time) for _ in range(3)] + [
        threading.Thread(target=read_from_outside)
    ]
    for reader in readers:
        reader.start()
    written, enough = 0, 2 * 64 * MIB / 4  # less would prove little
    end = time.monotonic() + (120 if LONG else 8)
    try:
        while time.monotonic() < end or written <= enough:
            crew.app.quick.options(meta={"x": "x" * 3000}).enqueue_many([(n,) for n in range(200)])
            written += 200 * 3000
            largest = max(largest, wal.stat().st_size)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert largest <= 64 * MIB
    crew.jobs.purge("default")
    crew.finish(30)
    until(lambda: not wal.exists() or wal.stat().st_size <= 4 * MIB, 10, f"the log shrinks; at most it had {largest}")
