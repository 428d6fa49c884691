"""The mission loop: blocks of missions, first those that the journal holds already, then new ones.

A block is simulated on the event loop, which has its turn after each: a mission kind says how many
missions keep that short.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from synexs_async.config import OnError
from synexs_async.errors import MissionFailed
from synexs_async.missions.failed import error_block
from synexs_async.missions.mission import Block, Mission, check_block
from synexs_async.storage.journal import Layout, Mark, block_of, read_lines

if TYPE_CHECKING:
    from loguru import Logger

_REPLAY_BLOCK: Final = 256


async def replay_journal(
    mission: Mission,
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

    def read(first: int, count: int) -> Block:
        return block_of(layout, mission, first, list(islice(lines, count)))

    while first < end:
        border = mark.missions if first < mark.missions else end
        block = await anyio.to_thread.run_sync(read, first, min(_REPLAY_BLOCK, border - first))
        await blocks.send(block)
        first = block.end


async def simulate_missions(
    mission: Mission,
    seed: int,
    first: int,
    total: int,
    *,
    interval: int,
    on_error: OnError,
    blocks: MemoryObjectSendStream[Block],
    may_start: Callable[[int], Awaitable[object]],
    log: Logger,
) -> None:
    """Simulate missions `first` to `total - 1` and send them in blocks.

    No block lies on both sides of a multiple of `interval`. Before each block, `may_start` is
    awaited with its first index.

    Raises:
        MissionFailed: a mission raised, and `on_error` is "stop". All before it were sent.
    """
    while first < total:
        await may_start(first)
        count = min(mission.block_size, interval - first % interval, total - first)
        for block in _simulate(mission, seed, first, count, on_error, log):
            await blocks.send(block)  # always a checkpoint, so other tasks have their turn
        first += count


def _simulate(
    mission: Mission, seed: int, first: int, count: int, on_error: OnError, log: Logger
) -> Iterator[Block]:
    """Simulate missions together, or one at a time where one of them raises."""
    try:
        block = check_block(mission.simulate(seed, first, count))
    except Exception as error:
        if count > 1:
            for index in range(first, first + count):
                yield from _simulate(mission, seed, index, 1, on_error, log)
            return
        log.opt(exception=error).error(f"mission {first} raised")
        if on_error == "stop":
            raise MissionFailed(first, error) from error
        block = error_block(mission, seed, first, error)
    yield block
