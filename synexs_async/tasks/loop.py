"""The mission loop: blocks of missions, first those that the journal holds already, then new ones.

A block is simulated on the event loop, which has some turns after each: a mission kind says how
many missions keep that short.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import islice
from typing import TYPE_CHECKING, Final

import anyio.lowlevel
import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from synexs_async.config import OnError
from synexs_async.errors import MissionFailed
from synexs_async.missions.failed import error_block
from synexs_async.missions.mission import Block, Mission
from synexs_async.missions.simulation import Raised, simulate_parts
from synexs_async.storage.journal import Layout, Mark, read_lines

if TYPE_CHECKING:
    from loguru import Logger

ReadBlock = Callable[[int, list[bytes]], Awaitable[Block]]

_REPLAY_BLOCK: Final = 256
_TURNS_A_BLOCK: Final = 4


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
        taken = await anyio.to_thread.run_sync(take, min(_REPLAY_BLOCK, border - first))
        block = await read(first, taken)
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
        for part in simulate_parts(mission, seed, first, count):
            await blocks.send(settle_part(part, mission, seed, on_error, log))  # the first turn
            # To answer a request takes a host several turns, and its threads get the interpreter
            # when the loop polls: with one turn a block, each of them would wait for a block.
            for _ in range(_TURNS_A_BLOCK - 1):
                await anyio.lowlevel.checkpoint()
        first += count


def settle_part(
    part: Block | Raised, mission: Mission, seed: int, on_error: OnError, log: Logger
) -> Block:
    """Return a block, of a mission that raised the one that records it, if that is wanted.

    Raises:
        MissionFailed: a mission raised, and `on_error` is "stop".
    """
    if isinstance(part, Block):
        return part
    log.error(f"mission {part.index} raised\n{part.traceback}")
    if on_error == "stop":
        raise MissionFailed(part.index, part.sentence)
    return error_block(mission, seed, part.index, part.error)
