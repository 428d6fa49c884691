"""Async missions: many at once on the event loop, committed in their order.

How far those that have ended may be ahead of one that goes on is bounded, so memory stays flat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import groupby
from typing import TYPE_CHECKING, Final

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from synexs_async.config import OnError
from synexs_async.missions.asynchronous import AsyncMission
from synexs_async.missions.mission import Block
from synexs_async.missions.simulation import Raised
from synexs_async.tasks.loop import settle_part
from synexs_async.tasks.watermark import Watermark

if TYPE_CHECKING:
    from loguru import Logger

_WINDOW: Final = 4  # missions that may wait for an earlier one, for each that is going on
_LARGEST_BLOCK: Final = 256  # missions

MakeParts = Callable[[int, list[bytes]], Awaitable[list[Block | Raised]]]


class ConcurrentSimulation:
    """Carries missions `first` to `total - 1` out, `concurrency` at once."""

    def __init__(
        self,
        mission: AsyncMission,
        seed: int,
        *,
        first: int,
        total: int,
        interval: int,
        concurrency: int,
        timeout: float | None,
        on_error: OnError,
        make_parts: MakeParts,
        may_start: Callable[[int], Awaitable[object]],
        log: Logger,
    ) -> None:
        self._mission = mission
        self._seed = seed
        self._next = first
        self._total = total
        self._interval = interval
        self._concurrency = concurrency
        self._timeout = timeout
        self._on_error = on_error
        self._make_parts = make_parts
        self._may_start = may_start
        self._log = log
        self._identify = mission.identifiers(seed)
        self._sent = Watermark(first)
        self._done: dict[int, bytes | Raised] = {}
        self._ended = anyio.Event()

    async def run(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Carry missions out and send them, to the end.

        No block lies on both sides of a multiple of the interval.

        Raises:
            MissionFailed: a mission raised, and `on_error` is "stop". All before it were sent.
        """
        async with anyio.create_task_group() as tasks:
            for _ in range(min(self._concurrency, self._total - self._next)):
                tasks.start_soon(self._serve)
            await self._collect(blocks)

    async def _serve(self) -> None:
        """Carry out one mission after the other."""
        window = self._concurrency * _WINDOW
        while self._next < self._total:
            index = self._next
            self._next += 1
            await self._may_start(index)
            if index - self._sent.value > window:
                await self._sent.reached(index - window)
            result: bytes | Raised
            try:
                result = await self._mission.perform(
                    self._seed, index, self._identify(index), self._timeout
                )
            except Exception as error:
                result = Raised.by(index, error)
            self._done[index] = result
            if index == self._sent.value:
                self._ended.set()

    async def _collect(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Send what has ended as soon as all before it has."""
        while self._sent.value < self._total:
            if self._sent.value not in self._done:
                self._ended = anyio.Event()
                await self._ended.wait()
            first = self._sent.value
            for part in await self._parts(first, self._take(first)):
                block = settle_part(part, self._mission, self._seed, self._on_error, self._log)
                await blocks.send(block)
                self._sent.advance(block.end)

    def _take(self, first: int) -> list[bytes | Raised]:
        """Take the missions from `first` on that have ended, up to a border."""
        border = first - first % self._interval + self._interval
        taken = []
        for index in range(first, min(border, first + _LARGEST_BLOCK)):
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
                parts += await self._make_parts(first, lines)
            first += len(results)
        return parts
