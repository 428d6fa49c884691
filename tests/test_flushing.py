"""How missions are cut into jobs for the workers, and come back as batches in order."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest
from builders import missions, new_layout, split
from loguru import logger

from synexs_async import Block
from synexs_async.errors import WorkerFailed
from synexs_async.storage.files import GroupFlush
from synexs_async.storage.folder import batch_name
from synexs_async.storage.journal import JournalWriter, Layout, Mark
from synexs_async.storage.ledger import Entry, Ledger
from synexs_async.storage.protocol import BatchRows, Written
from synexs_async.tasks.broadcast import Broadcast
from synexs_async.tasks.flushing import Flushing


class Workers:
    """Workers that write nothing.

    Whose job begins with `stuck_at` takes as long as the test likes; that of `fails_at` never ends
    well.
    """

    def __init__(self, batch_size: int, *, stuck_at: int = -1, fails_at: int = -1) -> None:
        self.jobs: list[range] = []
        self.go_on = anyio.Event()
        self._batch_size = batch_size
        self._stuck_at = stuck_at
        self._fails_at = fails_at

    async def write(self, rows: BatchRows) -> Written:
        """Say what is written."""
        job = range(rows.first, rows.first + len(rows.ids))
        self.jobs.append(job)
        if job.start == self._stuck_at:
            await self.go_on.wait()
        if job.start == self._fails_at:
            raise WorkerFailed("the machine goes down")
        size = self._batch_size
        return Written(
            [
                Entry(batch_name(first // size), first, min(size, job.stop - first), 1, "", "0")
                for first in job[::size]
            ],
            cuda_available=False,
        )


@pytest.fixture
def layout(request: pytest.FixtureRequest) -> Iterator[Layout]:
    """Make an empty folder for batches of the size that is asked for."""
    with new_layout(10_000, request.param) as layout:
        yield layout


def flushing(layout: Layout, workers: Workers, total: int) -> Flushing:
    """Make the flusher of a run that begins."""
    return Flushing(
        workers,  # type: ignore[arg-type]
        layout,
        Ledger(layout.folder.ledger),
        logger,
        Broadcast(),
        first=0,
        total=total,
        workers=2,
    )


async def flush(flushing: Flushing, blocks: list[Block]) -> None:
    """Let all blocks become batches."""
    send, receive = anyio.create_memory_object_stream[Block](len(blocks))
    for block in blocks:
        send.send_nowait(block)
    send.close()
    await flushing.run(receive)


@pytest.mark.parametrize(
    ("layout", "largest"), [(4, 32), (32, 256), (200, 200), (300, 300)], indirect=["layout"]
)
async def test_a_job_is_some_batches_but_not_more_than_one_large_one(
    layout: Layout, largest: int
) -> None:
    """Else the loop would be held for long, to hand over what a worker needs seconds for."""
    workers = Workers(layout.batch_size)
    block = missions(0, 1000)

    await flush(flushing(layout, workers, 1000), split(block, range(0, 1000, 16)))

    jobs = sorted(workers.jobs, key=lambda job: job.start)
    assert list(range(1000)) == [index for job in jobs for index in job]
    assert largest == max(map(len, jobs))
    assert 0 == sum(len(job) % layout.batch_size for job in jobs[:-1])


@pytest.mark.parametrize("layout", [4], indirect=True)
async def test_one_stuck_worker_holds_the_others_up_in_the_end(layout: Layout) -> None:
    """What is written behind it waits in memory, so there must be an end to it."""
    total = 5001
    workers = Workers(layout.batch_size, stuck_at=0)
    flusher = flushing(layout, workers, total)
    block = missions(0, total)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(flush, flusher, split(block, range(0, total, 16)))
        await anyio.wait_all_tasks_blocked()
        held_up_at = max(job.stop for job in workers.jobs)
        assert 0 == flusher.written.value
        workers.go_on.set()

    assert 1000 < held_up_at < 4000
    assert total - 1 == flusher.written.value
    entries = list(Ledger(layout.folder.ledger).entries())
    assert list(range(0, total - 1, 4)) == [entry.first for entry in entries]
    assert flusher.last is not None
    assert total - 1 == flusher.last.first


@pytest.mark.parametrize("layout", [1], indirect=True)
async def test_batches_that_are_made_again_are_entered_while_others_are_missing(
    layout: Layout,
) -> None:
    """A start that is ended before it has made all of them leaves the next one less to do."""
    total = 10_100
    block = missions(0, total)
    writer = JournalWriter(layout, Mark())
    await anyio.to_thread.run_sync(writer.append, block)
    writer.close()
    workers = Workers(layout.batch_size, stuck_at=5, fails_at=total - 1)
    flusher = flushing(layout, workers, total)
    flush = await anyio.to_thread.run_sync(GroupFlush, layout.folder.path)

    async def make(first: int, lines: list[bytes]) -> Block:
        assert [*block.lines[first : first + 1]] == lines
        if first == 50:  # the others go on beside one that takes long
            workers.go_on.set()
        return block[first : first + 1]

    try:
        with pytest.raises(ExceptionGroup):
            await flusher.rebuild(make, range(total), flush)
    finally:
        flush.close()

    entries = await anyio.to_thread.run_sync(list, Ledger(layout.folder.ledger).entries())
    assert list(range(10_000)) == [entry.first for entry in entries]
