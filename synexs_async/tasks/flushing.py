"""The batch flusher: committed missions become batches in worker processes.

Batches may finish in any order; the ledger and the watermark speak of them in theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from synexs_async.events import BatchWritten
from synexs_async.missions.mission import Block
from synexs_async.storage.files import GroupFlush
from synexs_async.storage.journal import JournalReader, Layout
from synexs_async.storage.ledger import Entry, Ledger
from synexs_async.storage.protocol import BatchRows
from synexs_async.tasks.broadcast import Broadcast
from synexs_async.tasks.pool import CALLS_A_WORKER, WorkerPool
from synexs_async.tasks.replaying import ReadBlock
from synexs_async.tasks.threads import run_in_thread
from synexs_async.tasks.watermark import Watermark

if TYPE_CHECKING:
    from loguru import Logger

_BATCHES_A_JOB: Final = 8  # handing work over costs about as much as a fifth of a batch
_MISSIONS_A_JOB: Final = 256  # larger batches go alone: the loop has to frame them
_JOBS_AHEAD: Final = 16  # for each job at work, finished ones that may wait for an earlier one
_ENTERED_TOGETHER: Final = 10_000  # batches made again: each time the whole ledger is written
_NOTHING: Final = BatchRows(0, [], b"", b"", 1, b"", {})


class Flushing:
    """Writes the batches of one session.

    Attributes:
        written: the missions, counted from 0, whose whole batches are in the folder.
        last: the entry of the run's last batch, where that is a short one.
        cuda_available: whether the workers' torch finds a GPU; None before it was asked.
    """

    def __init__(
        self,
        pool: WorkerPool,
        layout: Layout,
        ledger: Ledger,
        log: Logger,
        events: Broadcast,
        *,
        first: int,
        total: int,
        workers: int,
    ) -> None:
        self._pool = pool
        self._layout = layout
        self._ledger = ledger
        self._log = log
        self._events = events
        self._total = total
        self._servers = workers * CALLS_A_WORKER
        size = layout.batch_size
        self._job_size = size * max(min(_BATCHES_A_JOB, _MISSIONS_A_JOB // size), 1)  # missions
        self._window = self._servers * _JOBS_AHEAD * self._job_size
        self._done: dict[int, list[Entry]] = {}
        self._order = anyio.Lock()
        self.written = Watermark(first)
        self.last: Entry | None = None
        self.cuda_available: bool | None = None

    @property
    def batches_written(self) -> int:
        """How many batches are in the folder, up to the first that is not."""
        if not self._layout.has_batches:
            return 0
        return self.written.value // self._layout.batch_size + (self.last is not None)

    def batches_waiting(self, committed: int) -> int:
        """Return how many whole batches of the `committed` missions are not written yet."""
        if not self._layout.has_batches:
            return 0
        return max(committed - self.written.value, 0) // self._layout.batch_size

    async def rebuild(self, make: ReadBlock, missing: Sequence[int], flush: GroupFlush) -> None:
        """Make batches that are gone again, from the journal.

        Some thousands are entered at a time, so that whoever is ended again and again gets on.
        """
        for start in range(0, len(missing), _ENTERED_TOGETHER):
            await self._rebuild(make, missing[start : start + _ENTERED_TOGETHER], flush)

    async def _rebuild(self, make: ReadBlock, missing: Sequence[int], flush: GroupFlush) -> None:
        folder = self._layout.folder
        size = self._layout.batch_size
        reader = JournalReader(self._layout, 0)
        reading = anyio.Lock()
        numbers = iter(missing)
        entries: list[Entry] = []

        def read(first: int) -> list[bytes]:
            nonlocal reader
            if first != reader.position:
                reader = JournalReader(self._layout, first)
            return reader.read(first + size)

        def enter() -> None:
            # Behind the checkpoint a file of the right size is trusted, so it must be on disk.
            flush.flush(map(folder.batch_file, missing), [folder.batches])
            self._ledger.insert(entries)

        async def serve() -> None:
            while True:
                async with reading:
                    if (number := next(numbers, None)) is None:
                        return
                    lines = await run_in_thread(read, number * size)
                entries.extend(await self._write(await make(number * size, lines)))

        async with anyio.create_task_group() as tasks:
            for _ in range(self._servers):
                tasks.start_soon(serve)
        entries.sort(key=lambda entry: entry.first)
        await run_in_thread(enter)
        await self._tell(entries)

    async def run(self, blocks: MemoryObjectReceiveStream[Block]) -> None:
        """Turn blocks into batches until there are no more; where there are none, let them go."""
        if not self._layout.has_batches:
            async with blocks:
                async for block in blocks:
                    self.written.advance(block.end)
            return
        send, receive = anyio.create_memory_object_stream[Block](0)
        async with anyio.create_task_group() as tasks, receive:
            for _ in range(self._servers):
                tasks.start_soon(self._serve, receive.clone())
            await self._hand_over(blocks, send)

    async def learn_about_cuda(self) -> bool | None:
        """Ask a worker whether there is a GPU, unless one has said so; None without batches."""
        if self.cuda_available is None and self._layout.has_batches:
            self.cuda_available = (await self._pool.write(_NOTHING)).cuda_available
        return self.cuda_available

    async def _hand_over(
        self, blocks: MemoryObjectReceiveStream[Block], jobs: MemoryObjectSendStream[Block]
    ) -> None:
        """Cut the stream of blocks at the borders of batches."""
        size = self._layout.batch_size
        waiting: list[Block] = []
        async with blocks, jobs:
            async for received in blocks:
                waiting.append(received)
                while _missions(waiting) < self._job_size:
                    try:
                        waiting.append(blocks.receive_nowait())
                    except (anyio.WouldBlock, anyio.EndOfStream):
                        break
                if _missions(waiting) < size:
                    continue
                rows = Block.concatenate(waiting)
                while len(rows) >= size:
                    count = min(len(rows), self._job_size) // size * size
                    await jobs.send(rows[:count])
                    rows = rows[count:]
                waiting = [rows] if len(rows) else []
            if waiting and waiting[-1].end == self._total:
                await jobs.send(Block.concatenate(waiting))

    async def _serve(self, jobs: MemoryObjectReceiveStream[Block]) -> None:
        """Keep one worker busy."""
        async with jobs:
            async for block in jobs:
                # Jobs come in their order, so the earliest one at work waits for nothing here.
                await self.written.reached(block.first - self._window)
                await self._enter(block.first, await self._write(block))

    async def _write(self, block: Block) -> list[Entry]:
        written = await self._pool.write(BatchRows.of(block))
        self.cuda_available = written.cuda_available
        names = " to ".join(dict.fromkeys(written.entries[i].file for i in (0, -1)))
        self._log.debug(f"batches written: {names}, missions {block.first} to {block.end - 1}")
        return written.entries

    async def _enter(self, first: int, entries: list[Entry]) -> None:
        """Put finished batches into the ledger as soon as all before them are there.

        A short one, which is the last, is kept out of it: it grows when the run is extended.
        """
        async with self._order:
            self._done[first] = entries
            ready: list[Entry] = []
            end = self.written.value
            while end in self._done:
                ready += self._done.pop(end)
                end = ready[-1].end
            whole = [entry for entry in ready if entry.missions == self._layout.batch_size]
            if whole:
                await run_in_thread(self._ledger.append, whole)
                self.written.advance(whole[-1].end)
            if len(whole) < len(ready):
                self.last = ready[-1]
            await self._tell(ready)

    async def _tell(self, entries: list[Entry]) -> None:
        for entry in entries:
            await self._events.tell(BatchWritten(entry.file, entry.first, entry.missions))


def _missions(blocks: list[Block]) -> int:
    return blocks[-1].end - blocks[0].first
