"""Missions simulated in worker processes, many at once, and sent on in their order.

How many a worker is handed at once follows how long they take, and can't be seen in the data.
"""

from __future__ import annotations

from time import monotonic
from typing import Final, Self

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from synexs_async.errors import JournalDamaged
from synexs_async.missions.mission import Block
from synexs_async.missions.simulation import Raised
from synexs_async.storage.protocol import Simulated, SimulatedBlock
from synexs_async.tasks.assignment import Assignment
from synexs_async.tasks.pool import CALLS_A_WORKER, WorkerPool
from synexs_async.tasks.watermark import Watermark

_SECONDS_A_CALL: Final = 0.15  # with the wait for the one before; what it costs the loop is 1 ms
_MOST_A_CALL: Final = 256  # missions
_CALLS_AHEAD: Final = 4  # for each call at work, finished ones that may wait for an earlier one


class PlaceWithWorkers:
    """What places have in common whose missions a pool of workers reads again."""

    def __init__(self, assignment: Assignment, pool: WorkerPool) -> None:
        self._assignment = assignment
        self._pool = pool

    async def read(self, first: int, lines: list[bytes]) -> Block:
        """Make the block of committed lines again; JournalDamaged where they are not valid."""
        made = await self._pool.read(first, lines)
        columns = len(self._assignment.mission.feature_names)
        blocks: list[Block] = []
        for part in made.parts:
            if isinstance(part, Raised):
                problem = f"record {part.index} is not valid: {part.sentence}"
                raise JournalDamaged(self._assignment.layout.file(part.index), None, problem)
            blocks.append(part.block(columns))
        return Block.concatenate(blocks)

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._pool.__aexit__(*raised)


class InWorkers(PlaceWithWorkers):
    """Simulates missions in the workers of a pool; a `Placement`."""

    def __init__(self, assignment: Assignment, pool: WorkerPool, workers: int) -> None:
        super().__init__(assignment, pool)
        self._servers = workers * CALLS_A_WORKER
        self._next = assignment.first
        self._a_call = 1
        self._sent = Watermark(assignment.first)
        self._done: dict[int, Simulated] = {}
        self._order = anyio.Lock()
        self._has_printed = False

    async def simulate(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Simulate all missions, and send them."""
        async with anyio.create_task_group() as tasks:
            for _ in range(self._servers):
                tasks.start_soon(self._serve, blocks)

    async def _serve(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Keep one call at work."""
        assignment = self._assignment
        while self._next < assignment.total:
            first = self._next
            count = min(self._a_call, assignment.border(first) - first)
            self._next += count
            await assignment.may_start(first)
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
        columns = len(self._assignment.mission.feature_names)
        for index, text in simulated.printed.items():
            self._tell_printed(index, text)
        whole: list[Block] = []
        for part in simulated.parts:
            made = part.block(columns) if isinstance(part, SimulatedBlock) else part
            try:
                block = self._assignment.settle(made)
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
            self._assignment.log.warning(
                f"mission {index} writes to standard output; what missions write is in the log"
            )
        self._assignment.log.debug(f"mission {index} wrote: {text.rstrip()}")
