"""The journal writer: blocks become committed records, then travel on to the batches."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from synexs_async.missions.mission import Block
from synexs_async.missions.statistics import Statistics
from synexs_async.storage.journal import JournalWriter, Mark
from synexs_async.storage.ledger import Ledger
from synexs_async.tasks.threads import run_in_thread
from synexs_async.tasks.watermark import Watermark

_LARGEST_APPEND: Final = 512  # missions; about 1 MB


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The journal at a moment, and the statistics of the missions in it."""

    mark: Mark
    statistics: Statistics


class Journaling:
    """Commits blocks in index order.

    Attributes:
        committed: the missions that are in the journal.
        snapshot: the moment after the last block.
    """

    def __init__(
        self,
        writer: JournalWriter,
        ledger: Ledger,
        statistics: Statistics,
        *,
        already_there: int,
        interval: int,
    ) -> None:
        self._writer = writer
        self._ledger = ledger
        self._already_there = already_there
        self._interval = interval
        self._statistics = statistics
        self.snapshot = Snapshot(writer.mark, copy(statistics))
        self.committed = Watermark(writer.mark.missions)
        self._blocks: MemoryObjectReceiveStream[Block] | None = None

    @property
    def blocks_waiting(self) -> int:
        """How many blocks of missions wait to be committed."""
        return self._blocks.statistics().current_buffer_used if self._blocks else 0

    async def run(
        self,
        blocks: MemoryObjectReceiveStream[Block],
        onward: MemoryObjectSendStream[Block],
        checkpoints: MemoryObjectSendStream[Snapshot],
        every_checkpoint: bool,
    ) -> None:
        """Commit blocks until there are no more, and send each on.

        At every multiple of the interval a snapshot is offered as the next checkpoint; with
        `every_checkpoint` it waits until it is taken.
        """
        self._blocks = blocks
        async with blocks, onward, checkpoints:
            async for received in blocks:
                block = self._gather(received, blocks)
                if block.first < self.snapshot.mark.missions:
                    await onward.send(block)  # waited for its batch when the last session ended
                    continue
                await self._commit(block)
                await onward.send(block)
                if block.end % self._interval:
                    continue
                if every_checkpoint:
                    await checkpoints.send(self.snapshot)
                else:
                    _offer(checkpoints, self.snapshot)

    def _gather(self, block: Block, blocks: MemoryObjectReceiveStream[Block]) -> Block:
        """Take the blocks that are waiting too: one large append costs less than many."""
        gathered = [block]
        while not self._is_border(gathered[-1].end) and (
            gathered[-1].end - block.first < _LARGEST_APPEND
        ):
            try:
                gathered.append(blocks.receive_nowait())
            except (anyio.WouldBlock, anyio.EndOfStream):
                break
        return Block.concatenate(gathered)

    def _is_border(self, index: int) -> bool:
        """Whether what lies before and behind `index` is to be handled apart."""
        there = (self._writer.mark.missions, self._already_there)
        return index in there or index % self._interval == 0

    async def _commit(self, block: Block) -> None:
        new = block.first >= self._already_there
        commit = self._writer.append if new else self._writer.pass_over

        def write() -> Mark:
            self._ledger.append(commit(block))
            return self._writer.mark

        mark = await run_in_thread(write)
        self._statistics.add(block)
        self.snapshot = Snapshot(mark, copy(self._statistics))
        self.committed.advance(mark.missions)


def _offer(checkpoints: MemoryObjectSendStream[Snapshot], snapshot: Snapshot) -> None:
    try:
        checkpoints.send_nowait(snapshot)
    except anyio.WouldBlock:
        pass  # the last checkpoint is still being written
