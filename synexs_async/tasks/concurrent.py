"""Async missions: many at once on the event loop, committed in their order.

How far those that have ended may be ahead of one that goes on is bounded, so memory stays flat.
"""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import Final

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from anyio.streams.memory import MemoryObjectSendStream

from synexs_async.missions.asynchronous import AsyncMission
from synexs_async.missions.mission import Block
from synexs_async.missions.simulation import Raised, read_parts
from synexs_async.tasks.assignment import Assignment
from synexs_async.tasks.pool import WorkerPool
from synexs_async.tasks.simulating import PlaceWithWorkers
from synexs_async.tasks.watermark import Watermark

_WINDOW: Final = 4  # missions that may wait for an earlier one, for each that is going on
_LARGEST_BLOCK: Final = 256  # missions


class AsTasks(PlaceWithWorkers):
    """Carries missions out as tasks, `concurrency` at once; a `Placement`.

    The workers of the pool make what a batch needs of them, as that may be slow.
    """

    def __init__(
        self,
        assignment: Assignment,
        mission: AsyncMission,
        pool: WorkerPool,
        concurrency: int,
        timeout: float | None,
    ) -> None:
        super().__init__(assignment, pool)
        self._mission = mission
        self._concurrency = concurrency
        self._timeout = timeout
        self._next = assignment.first
        self._identify = mission.identifiers(assignment.seed)
        self._sent = Watermark(assignment.first)
        self._done: dict[int, bytes | Raised] = {}
        self._ended = anyio.Event()

    async def simulate(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Carry all missions out, and send them."""
        missions = self._assignment.total - self._next
        async with anyio.create_task_group() as tasks:
            for _ in range(min(self._concurrency, missions)):
                tasks.start_soon(self._serve)
            await self._collect(blocks)

    async def _serve(self) -> None:
        """Carry out one mission after the other."""
        assignment, window = self._assignment, self._concurrency * _WINDOW
        while self._next < assignment.total:
            index = self._next
            self._next += 1
            await assignment.may_start(index)
            if index - self._sent.value > window:
                await self._sent.reached(index - window)
            result: bytes | Raised
            try:
                result = await self._mission.perform(
                    assignment.seed, index, self._identify(index), self._timeout
                )
            except (Exception, SystemExit) as error:
                result = Raised.by(index, error)
            except asyncio.CancelledError as error:
                await checkpoint_if_cancelled()  # does not return where the run is stopped
                result = Raised.by(index, error)  # what the mission waited for was cancelled
            self._done[index] = result
            if index == self._sent.value:
                self._ended.set()

    async def _collect(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Send what has ended as soon as all before it has."""
        while self._sent.value < self._assignment.total:
            if self._sent.value not in self._done:
                self._ended = anyio.Event()
                await self._ended.wait()
            first = self._sent.value
            for part in await self._parts(first, self._take(first)):
                block = self._assignment.settle(part)
                await blocks.send(block)
                self._sent.advance(block.end)

    def _take(self, first: int) -> list[bytes | Raised]:
        """Take the missions from `first` on that have ended, up to a border."""
        taken = []
        for index in range(first, min(self._assignment.border(first), first + _LARGEST_BLOCK)):
            if index not in self._done:
                break
            taken.append(self._done.pop(index))
        return taken

    async def _parts(self, first: int, taken: list[bytes | Raised]) -> list[Block | Raised]:
        parts: list[Block | Raised] = []
        for has_raised, group in groupby(taken, lambda result: isinstance(result, Raised)):
            results = list(group)
            if has_raised:
                parts += [result for result in results if isinstance(result, Raised)]
            else:
                lines = [result for result in results if isinstance(result, bytes)]
                parts += await self._read_parts(first, lines)
            first += len(results)
        return parts

    async def _read_parts(self, first: int, lines: list[bytes]) -> list[Block | Raised]:
        if not self._mission.feature_names:
            return list(read_parts(self._mission, first, lines))
        made = await self._pool.read(first, lines)
        columns = len(self._mission.feature_names)
        return [part if isinstance(part, Raised) else part.block(columns) for part in made.parts]
