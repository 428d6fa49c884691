"""Missions simulated in worker processes, many at once, and sent on in their order.

How many a worker is handed at once follows how long they take, and can't be seen in the data.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from synexs_async.config import OnError
from synexs_async.errors import JournalDamaged
from synexs_async.missions.mission import Block, Mission
from synexs_async.missions.simulation import Raised
from synexs_async.storage.journal import Layout
from synexs_async.storage.protocol import Simulated, SimulatedBlock
from synexs_async.tasks.loop import settle_part
from synexs_async.tasks.pool import CALLS_A_WORKER, WorkerPool
from synexs_async.tasks.watermark import Watermark

if TYPE_CHECKING:
    from loguru import Logger

_SECONDS_A_CALL: Final = 0.15  # with the wait for the one before; what it costs the loop is 1 ms
_MOST_A_CALL: Final = 256  # missions
_CALLS_AHEAD: Final = 4  # for each call at work, finished ones that may wait for an earlier one


async def read_in_workers(
    pool: WorkerPool, layout: Layout, mission: Mission, first: int, lines: Sequence[bytes]
) -> Block:
    """Make the block of committed lines again; JournalDamaged where their content is not valid."""
    made = await pool.read(first, lines)
    blocks: list[Block] = []
    for part in made.parts:
        if isinstance(part, Raised):
            problem = f"record {part.index} is not valid: {part.sentence}"
            raise JournalDamaged(layout.file(part.index), None, problem)
        blocks.append(part.block(len(mission.feature_names)))
    return Block.concatenate(blocks)


class WorkerSimulation:
    """Simulates missions `first` to `total - 1` in the workers of a pool."""

    def __init__(
        self,
        pool: WorkerPool,
        workers: int,
        mission: Mission,
        seed: int,
        *,
        first: int,
        total: int,
        interval: int,
        on_error: OnError,
        may_start: Callable[[int], Awaitable[object]],
        log: Logger,
    ) -> None:
        self._pool = pool
        self._servers = workers * CALLS_A_WORKER
        self._mission = mission
        self._seed = seed
        self._next = first
        self._total = total
        self._interval = interval
        self._on_error = on_error
        self._may_start = may_start
        self._log = log
        self._a_call = 1
        self._sent = Watermark(first)
        self._done: dict[int, Simulated] = {}
        self._order = anyio.Lock()
        self._has_printed = False

    async def run(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Simulate and send to the end.

        No block lies on both sides of a multiple of the interval.

        Raises:
            MissionFailed: a mission raised, and `on_error` is "stop". All before it were sent.
        """
        async with anyio.create_task_group() as tasks:
            for _ in range(self._servers):
                tasks.start_soon(self._serve, blocks)

    async def _serve(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Keep one call at work."""
        while self._next < self._total:
            first = self._next
            border = self._interval - first % self._interval
            count = min(self._a_call, border, self._total - first)
            self._next += count
            await self._may_start(first)
            window = self._servers * _CALLS_AHEAD * self._a_call
            await self._sent.reached(first - window)
            started = monotonic()
            simulated = await self._pool.simulate(first, count)
            self._adapt(count, monotonic() - started)
            async with self._order:
                self._done[first] = simulated
                while (ready := self._done.pop(self._sent.value, None)) is not None:
                    await self._send(ready, blocks)

    def _adapt(self, count: int, seconds: float) -> None:
        if seconds < _SECONDS_A_CALL and count == self._a_call:
            self._a_call = min(2 * self._a_call, _MOST_A_CALL)
        elif seconds > 4 * _SECONDS_A_CALL:
            self._a_call = max(self._a_call // 2, 1)

    async def _send(self, simulated: Simulated, blocks: MemoryObjectSendStream[Block]) -> None:
        columns = len(self._mission.feature_names)
        for index, text in simulated.printed.items():
            self._tell_printed(index, text)
        whole: list[Block] = []
        for part in simulated.parts:
            made = part.block(columns) if isinstance(part, SimulatedBlock) else part
            try:
                block = settle_part(made, self._mission, self._seed, self._on_error, self._log)
            except BaseException:
                if whole:
                    await blocks.send(Block.concatenate(whole))
                raise
            whole.append(block)
        joined = Block.concatenate(whole)
        await blocks.send(joined)
        self._sent.advance(joined.end)

    def _tell_printed(self, index: int, text: str) -> None:
        if not self._has_printed:
            self._has_printed = True
            self._log.warning(
                f"mission {index} writes to standard output; what missions write is in the log"
            )
        self._log.debug(f"mission {index} wrote: {text.rstrip()}")
