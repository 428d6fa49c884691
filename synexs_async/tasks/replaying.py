"""The missions that the journal holds already, as the blocks that they were."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final

from anyio.streams.memory import MemoryObjectSendStream

from synexs_async.missions.mission import Block
from synexs_async.storage.journal import Layout, Mark, read_lines
from synexs_async.tasks.threads import run_in_thread

ReadBlock = Callable[[int, list[bytes]], Awaitable[Block]]

_REPLAY_BLOCK: Final = 256


async def replay_journal(
    read: ReadBlock,
    layout: Layout,
    mark: Mark,
    end: int,
    blocks: MemoryObjectSendStream[Block],
) -> None:
    """Send the journal's missions up to `end`: those that wait for a batch at `mark`, and later.

    No block lies on both sides of the mark.
    """
    first = layout.batch_start(mark.missions)
    lines = read_lines(layout, first, end, mark.batch_offset)

    def take(count: int) -> list[bytes]:
        return list(islice(lines, count))

    while first < end:
        border = mark.missions if first < mark.missions else end
        taken = await run_in_thread(take, min(_REPLAY_BLOCK, border - first))
        block = await read(first, taken)
        await blocks.send(block)
        first = block.end
