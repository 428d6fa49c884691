"""Missions simulated on the event loop, a block at a time.

The loop has its turn after each: a mission kind says how many missions keep that short.
"""

from __future__ import annotations

from typing import Self

import anyio.to_thread
from anyio.streams.memory import MemoryObjectSendStream

from synexs_async.missions.mission import Block
from synexs_async.missions.simulation import simulate_parts
from synexs_async.storage.journal import block_of
from synexs_async.tasks.assignment import Assignment


class OnLoop:
    """Simulates missions on the loop; a `Placement`."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment

    async def simulate(self, blocks: MemoryObjectSendStream[Block]) -> None:
        """Simulate all missions, and send them."""
        assignment = self._assignment
        mission, first = assignment.mission, assignment.first
        while first < assignment.total:
            await assignment.may_start(first)
            count = min(mission.block_size, assignment.border(first) - first)
            for part in simulate_parts(mission, assignment.seed, first, count):
                # Sending is always a checkpoint, so other tasks have their turn.
                await blocks.send(assignment.settle(part))
            first += count

    async def read(self, first: int, lines: list[bytes]) -> Block:
        """Make the block of committed lines again, in a thread."""
        layout, mission = self._assignment.layout, self._assignment.mission
        return await anyio.to_thread.run_sync(block_of, layout, mission, first, lines)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        pass
